#include "media/clip_reader.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "base/stopwatch.h"
#include "image/to_rgb.h"
#include "media/clip_decoder.h"
#include "media/nvdec/device_clip_writer.h"
#include "media/nvdec/device_frame.h"
#include "media/scan/window_plan.h"

namespace cosmos {
namespace {

class VideoClipReader final : public ClipReader {
 public:
  explicit VideoClipReader(const ClipRequest& request)
      : request_(request), guard_(request.limits.max_wall_seconds, request.limits.max_bytes) {}

  Status Open(MediaSource source, const std::optional<Windows>& windows, CancelTokenPtr cancel);
  Result<std::optional<DecodedClip>> Next(CancelTokenPtr cancel) override;

 private:
  // One use of a packet's picture: as frame `slot` of a clip.
  struct Use {
    int place = 0;
    int clip = 0;
    int slot = 0;
  };
  struct OpenClip {
    DeviceClipWriter writer;
    std::vector<FrameInfo> frames;
    int missing = 0;
    int damaged = 0;
    bool from_hardware = false;  // the hardware decoded some of the frames
    bool from_cpu = false;       // the CPU decoded some of the frames
  };

  Status OpenVideo(MediaSource source, const std::optional<Windows>& windows);
  void PlanUses();
  Result<std::optional<DecodedClip>> NextClip();
  Status TakePictures();
  Status TakePicture();
  Status AddPicture(const WantedPicture& picture);
  Result<OpenClip*> OpenClipAt(int clip);
  const ClipWindow& WindowOf(int clip) const { return windows_[window_of_clip_[clip]]; }
  Result<DecodedClip> FinishClip();
  DecodedClip RepeatClip();
  DecodeReport Report(bool by_hardware);
  Status NothingDecoded() const;

  const ClipRequest request_;
  JobGuard guard_;
  MediaSource media_;
  std::unique_ptr<Demuxer> demuxer_;
  VideoScan scan_;
  std::vector<ClipWindow> windows_;
  DecodePlan plan_;
  std::vector<Use> uses_;  // by place
  std::unique_ptr<ClipDecoder> decoder_;
  Orientation orientation_;
  RgbConverter to_rgb_;

  int window_ = 0;                     // the next to return
  std::vector<int> window_of_clip_;    // the first window of each clip; windows that repeat it share the clip
  int clip_ = 0;                       // the next to finish
  std::deque<OpenClip> open_;          // clip_, clip_ + 1, ...
  std::optional<DecodedClip> shared_;  // the last clip, while the next window repeats it
  DecodeReport spent_;                 // the cost so far
  DecodeReport reported_;              // the part of it that is in the reports of returned clips
  int reported_damage_ = 0;
  Status error_;
};

// The frames of all windows. One that several windows share may move only within all of them, since it is
// decoded once.
struct WantedFrames {
  std::vector<int> ranks;  // ascending, unique
  std::vector<FrameBounds> bounds;
};

WantedFrames FramesOf(const std::vector<ClipWindow>& windows) {
  std::vector<std::pair<int, FrameBounds>> all;
  for (const ClipWindow& window : windows) {
    const FrameBounds bounds{window.first_rank, window.first_rank + window.frame_count - 1};
    for (const int rank : window.ranks) all.emplace_back(rank, bounds);
  }
  std::ranges::stable_sort(all, {}, &std::pair<int, FrameBounds>::first);
  WantedFrames wanted;
  for (const auto& [rank, bounds] : all) {
    if (wanted.ranks.empty() || wanted.ranks.back() != rank) {
      wanted.ranks.push_back(rank);
      wanted.bounds.push_back(bounds);
      continue;
    }
    FrameBounds& shared = wanted.bounds.back();
    shared = {std::max(shared.first, bounds.first), std::min(shared.last, bounds.last)};
  }
  return wanted;
}

Orientation OrientationOf(const AVStream& stream) {
  const std::int32_t* matrix = nullptr;
#if COSMOS_HAVE_CODED_SIDE_DATA
  const AVCodecParameters& parameters = *stream.codecpar;
  const AVPacketSideData* side_data = av_packet_side_data_get(
      parameters.coded_side_data, parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  if (side_data && side_data->size >= 9 * sizeof(std::int32_t)) {
    matrix = reinterpret_cast<const std::int32_t*>(side_data->data);
  }
#else
  std::size_t size = 0;
  const std::uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (data && size >= 9 * sizeof(std::int32_t)) matrix = reinterpret_cast<const std::int32_t*>(data);
#endif
  return matrix ? Orientation::FromDisplayMatrix(matrix) : Orientation();
}

Status VideoClipReader::Open(MediaSource source, const std::optional<Windows>& windows,
                             CancelTokenPtr cancel) {
  const JobGuard::Call call(guard_, std::move(cancel));
  const Stopwatch stopwatch;
  if (Status status = CheckRequest(request_, windows); !status.ok()) return status;
  Status status = OpenVideo(std::move(source), windows);
  // FFmpeg may take a failed allocation for damage, or ignore it.
  COSMOS_RETURN_IF_ERROR(guard_.memory().Check());
  if (!status.ok()) return status;
  spent_.open_ms = stopwatch.Milliseconds();
  return {};
}

Status VideoClipReader::OpenVideo(MediaSource source, const std::optional<Windows>& windows) {
  media_ = std::move(source);
  COSMOS_ASSIGN_OR_RETURN(demuxer_, Demuxer::Open(media_, request_.limits, guard_));
  COSMOS_ASSIGN_OR_RETURN(scan_, ScanVideo(*demuxer_, request_.start, request_.end, request_.limits));
  COSMOS_ASSIGN_OR_RETURN(windows_, PlanWindows(scan_, request_, windows));

  decoder_ = std::make_unique<ClipDecoder>(media_, *demuxer_, scan_, request_, guard_);
  if (Status status = decoder_->Open(); !status.ok()) return status;
  PlanUses();
  orientation_ = OrientationOf(demuxer_->stream());
  return {};
}

// Makes one plan over the union of all windows, so that a frame in several windows is decoded once.
void VideoClipReader::PlanUses() {
  const auto [ranks, bounds] = FramesOf(windows_);
  plan_ = PlanDecode(scan_.index, ranks,
                     {.decoder_delay = decoder_->delay(),
                      .tolerance = scan_.Ticks(request_.frame_tolerance),
                      .bounds = bounds});
  for (int window = 0; window < static_cast<int>(windows_.size()); ++window) {
    if (windows_[window].repeats) continue;
    for (int slot = 0; slot < request_.shape.frames; ++slot) {
      const auto rank = std::ranges::lower_bound(ranks, windows_[window].ranks[slot]);
      const int clip = static_cast<int>(window_of_clip_.size());
      uses_.push_back({scan_.index.place(plan_.chosen[rank - ranks.begin()]), clip, slot});
    }
    window_of_clip_.push_back(window);
  }
  std::ranges::stable_sort(uses_, {}, &Use::place);
}

Result<std::optional<DecodedClip>> VideoClipReader::Next(CancelTokenPtr cancel) {
  if (!error_.ok()) return error_;
  const JobGuard::Call call(guard_, std::move(cancel));
  auto clip = NextClip();
  if (Status status = guard_.memory().Check(); !status.ok()) clip = std::move(status);
  if (!clip.ok()) error_ = clip.status();
  // The caller may keep this reader for long, so the decoder and its hardware are released now.
  if (!clip.ok() || window_ == static_cast<int>(windows_.size())) {
    decoder_.reset();
    open_.clear();
  }
  guard_.Restart();
  return clip;
}

Result<std::optional<DecodedClip>> VideoClipReader::NextClip() {
  if (window_ == static_cast<int>(windows_.size())) return std::optional<DecodedClip>();
  if (windows_[window_].repeats) return std::optional(RepeatClip());
  COSMOS_ASSIGN_OR_RETURN(auto open, OpenClipAt(clip_));
  if (!open->writer.complete()) COSMOS_RETURN_IF_ERROR(TakePictures());
  COSMOS_ASSIGN_OR_RETURN(auto clip, FinishClip());
  return std::optional(std::move(clip));
}

// Decodes until the next clip is complete.
Status VideoClipReader::TakePictures() {
  const int clips = static_cast<int>(window_of_clip_.size());
  if (Status status = decoder_->Begin(plan_, clips); !status.ok()) return status;
  const double before_ms = spent_.decode_ms;
  Status status;
  while (status.ok() && !open_.front().writer.complete()) status = TakePicture();
  decoder_->End(spent_.decode_ms - before_ms);
  return status;
}

Status VideoClipReader::TakePicture() {
  const Stopwatch decoding;
  auto picture = decoder_->Next();
  spent_.decode_ms += decoding.Milliseconds();
  if (!picture.ok()) return picture.TakeStatus();
  if (!picture.value()) return NothingDecoded();
  const Stopwatch converting;
  Status status = AddPicture(*picture.value());
  spent_.convert_ms += converting.Milliseconds();
  return status;
}

// Adds a picture to every clip that uses it. A picture in host memory is converted and resized here, once;
// device frames are converted when their clip is complete.
Status VideoClipReader::AddPicture(const WantedPicture& picture) {
  const bool on_device = IsDeviceFrame(*picture.frame);
  RgbImage image;
  if (!on_device) {
    COSMOS_ASSIGN_OR_RETURN(auto rgb, to_rgb_.Convert(*picture.frame));
    image = Orient(std::move(rgb), orientation_);
  }
  spent_.pixel_format = av_get_pix_fmt_name(on_device ? LayoutOf(*picture.frame)
                                                      : static_cast<AVPixelFormat>(picture.frame->format));
  spent_.width = orientation_.transpose ? picture.frame->height : picture.frame->width;
  spent_.height = orientation_.transpose ? picture.frame->width : picture.frame->height;

  const auto begin = std::ranges::lower_bound(uses_, picture.wanted, {}, &Use::place);
  const auto end = std::ranges::upper_bound(uses_, picture.wanted, {}, &Use::place);
  const std::span<const Use> uses(begin, end);
  const Use& first = uses.front();
  const int rank = scan_.index.rank(picture.place);
  const bool from_hardware = decoder_->IsFromHardware(picture);
  for (const Use& use : uses) {
    COSMOS_ASSIGN_OR_RETURN(auto open, OpenClipAt(use.clip));
    OpenClip& clip = *open;
    (from_hardware ? clip.from_hardware : clip.from_cpu) = true;
    if (on_device) {
      clip.writer.Write(use.slot, picture.frame);
    } else if (&use == &first) {
      clip.writer.Write(use.slot, image);
    } else {
      clip.writer.Copy(use.slot, open_[first.clip - clip_].writer, first.slot);
    }
    clip.frames[use.slot] = {rank - WindowOf(use.clip).first_rank, scan_.Seconds(scan_.index.time(rank)),
                             scan_.index.packet(picture.place).keyframe};
    if (picture.place != picture.wanted) {
      ++clip.missing;
    } else if (picture.damaged) {
      ++clip.damaged;
    }
  }
  return {};
}

// Overlapping windows have their clips open at the same time.
Result<VideoClipReader::OpenClip*> VideoClipReader::OpenClipAt(int clip) {
  const auto place = static_cast<std::size_t>(clip - clip_);
  const std::int64_t most = request_.limits.max_bytes / static_cast<std::int64_t>(request_.shape.bytes());
  if (static_cast<std::int64_t>(place) > std::max<std::int64_t>(most, 1)) {
    return Status(StatusCode::kLimit, "the windows overlap so much that " + std::to_string(place + 1) +
                                          " clips are made at once, which needs more memory than the limit "
                                          "maxBytes of " +
                                          std::to_string(request_.limits.max_bytes) + " bytes")
        .With("limit", static_cast<double>(request_.limits.max_bytes));
  }
  while (open_.size() <= place) {
    open_.push_back({DeviceClipWriter(request_.shape, request_.keep_images),
                     std::vector<FrameInfo>(request_.shape.frames)});
  }
  return &open_[place];
}

// Returns the clip of the previous window again.
DecodedClip VideoClipReader::RepeatClip() {
  const ClipWindow& window = windows_[window_++];
  const bool again = window_ < static_cast<int>(windows_.size()) && windows_[window_].repeats;
  DecodedClip clip = again ? *shared_ : *std::exchange(shared_, std::nullopt);
  clip.start = window.start;
  clip.end = window.end;
  return clip;
}

Result<DecodedClip> VideoClipReader::FinishClip() {
  OpenClip& done = open_.front();
  const ClipWindow& window = windows_[window_];
  const bool on_device = done.writer.has_device_frames();
  const Stopwatch converting;
  if (on_device) COSMOS_RETURN_IF_ERROR(request_.gpu->device().MakeCurrent());
  COSMOS_ASSIGN_OR_RETURN(auto pixels, done.writer.TakeClip(request_.gpu, decoder_->stream(), orientation_));
  if (on_device) spent_.convert_ms += converting.Milliseconds();
  if (request_.gpu) request_.gpu->CountClip(done.from_hardware);
  DecodedClip clip{.clip = std::move(pixels),
                   .start = window.start,
                   .end = window.end,
                   .frames = std::move(done.frames),
                   .images = done.writer.TakeImages(),
                   .report = Report(done.from_hardware)};
  if (request_.gpu && done.from_cpu) clip.report.decoder_reason = decoder_->reason();
  clip.report.frame_count = window.frame_count;
  clip.report.damaged = done.missing + done.damaged;
  if (done.damaged > 0) {
    clip.report.warnings.push_back(std::to_string(done.damaged) + " of " +
                                   std::to_string(request_.shape.frames) +
                                   " frames are damaged, or were decoded after damaged pictures");
  }
  if (done.missing > 0) {
    clip.report.warnings.push_back(std::to_string(done.missing) + " of " +
                                   std::to_string(request_.shape.frames) +
                                   " frames could not be decoded and were replaced by the nearest ones");
  }
  open_.pop_front();
  ++clip_;
  ++window_;
  if (window_ < static_cast<int>(windows_.size()) && windows_[window_].repeats) {
    shared_ = clip;
    DecodeReport cost_nothing = shared_->report;
    cost_nothing.decoded = cost_nothing.discarded = cost_nothing.bytes_read = cost_nothing.seeks = 0;
    cost_nothing.open_ms = cost_nothing.wait_ms = cost_nothing.decode_ms = cost_nothing.convert_ms = 0;
    shared_->report = cost_nothing;
  }
  return clip;
}

// The cost of this clip: the total so far less what earlier reports covered.
DecodeReport VideoClipReader::Report(bool by_hardware) {
  const DecodeCounts counts = decoder_->counts();
  spent_.decoded = counts.decoded;
  spent_.discarded = counts.discarded;
  spent_.seeks = decoder_->seeks();
  spent_.wait_ms = decoder_->waited_ms();
  spent_.bytes_read = demuxer_->bytes_read() + decoder_->parallel_bytes_read();

  DecodeReport report = spent_;
  report.decoded -= reported_.decoded;
  report.discarded -= reported_.discarded;
  report.seeks -= reported_.seeks;
  report.bytes_read -= reported_.bytes_read;
  report.open_ms -= reported_.open_ms;
  report.wait_ms -= reported_.wait_ms;
  report.decode_ms -= reported_.decode_ms;
  report.convert_ms -= reported_.convert_ms;
  reported_ = spent_;

  report.container = demuxer_->container();
  report.codec = demuxer_->codec();
  report.decoder = by_hardware ? request_.gpu->backend()->id() : "software";
  report.rotation = orientation_.degrees();
  // The container of a joined recording states the duration of one part only.
  const bool joined = demuxer_->may_be_concatenated() &&
                      (scan_.index.has_clock_resets() || scan_.EndSeconds() > demuxer_->duration());
  report.duration = demuxer_->duration() > 0 && !joined ? demuxer_->duration() : scan_.EndSeconds();
  if (counts.damage > reported_damage_) {
    report.warnings.push_back(std::to_string(counts.damage - reported_damage_) +
                              " packets or pictures are damaged");
    reported_damage_ = counts.damage;
  }
  if (!demuxer_->damage().empty()) {
    report.warnings.push_back("the " + report.container + " ends early: " + demuxer_->damage());
  }
  return report;
}

Status VideoClipReader::NothingDecoded() const {
  const int reason = decoder_->refusal();
  const double position = scan_.Seconds(scan_.index.time(windows_[window_].ranks.front()));
  return Status(StatusCode::kMedia, "no picture of the " + demuxer_->codec() + " video in the " +
                                        demuxer_->container() + " could be decoded from " +
                                        std::to_string(position) + " s on")
      .With("container", demuxer_->container())
      .With("codec", demuxer_->codec())
      .With("position", position)
      .With("reason", reason != 0 ? ff::ErrorName(reason) : "the decoder gave no picture");
}

}  // namespace

Result<std::unique_ptr<ClipReader>> ClipReader::Open(MediaSource source, const ClipRequest& request,
                                                     std::optional<Windows> windows, CancelTokenPtr cancel) {
  auto reader = std::make_unique<VideoClipReader>(request);
  if (Status status = reader->Open(std::move(source), windows, std::move(cancel)); !status.ok())
    return status;
  return std::unique_ptr<ClipReader>(std::move(reader));
}

}  // namespace cosmos
