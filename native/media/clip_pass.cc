#include "media/clip_pass.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/stopwatch.h"
#include "media/nvdec/device_frame.h"

namespace cosmos {
namespace {

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
    wanted.bounds.back() = wanted.bounds.back().Within(bounds);
  }
  return wanted;
}

}  // namespace

Status ClipPass::Open(std::vector<ClipWindow> windows, std::span<const WantedPicture> pictures) {
  windows_ = std::move(windows);
  const auto [ranks, bounds] = FramesOf(windows_);
  PlanOptions options{.tolerance = video_.scan.Ticks(request_.frame_tolerance), .bounds = bounds};
  if (!pictures.empty()) plan_ = PlanDecode(video_.scan.index, ranks, options);
  if (!TakeFrom(pictures)) {
    decoder_ = std::make_unique<ClipDecoder>(video_.media, *video_.demuxer, video_.scan, request_, guard_);
    if (Status status = decoder_->Open(); !status.ok()) return status;
    options.decoder_delay = decoder_->delay();
    plan_ = PlanDecode(video_.scan.index, ranks, options);
  }
  PlanUses(ranks);
  return {};
}

// Whether the pictures include all of the plan's.
bool ClipPass::TakeFrom(std::span<const WantedPicture> pictures) {
  if (pictures.empty()) return false;
  std::vector<WantedPicture> given;
  for (const int place : plan_.wanted) {
    const auto found = std::ranges::lower_bound(pictures, place, {}, &WantedPicture::wanted);
    if (found == pictures.end() || found->wanted != place) return false;
    given.push_back(*found);
  }
  const auto order = [&](const WantedPicture& picture) { return video_.scan.index.order(picture.wanted); };
  std::ranges::sort(given, {}, order);
  given_ = std::move(given);
  return true;
}

// Makes one plan over the union of all windows, so that a frame in several windows is decoded once.
void ClipPass::PlanUses(const std::vector<int>& ranks) {
  for (int window = 0; window < static_cast<int>(windows_.size()); ++window) {
    if (windows_[window].repeats) continue;
    for (int slot = 0; slot < request_.shape.frames; ++slot) {
      const auto rank = std::ranges::lower_bound(ranks, windows_[window].ranks[slot]);
      const int clip = static_cast<int>(window_of_clip_.size());
      uses_.push_back({video_.scan.index.place(plan_.chosen[rank - ranks.begin()]), clip, slot});
    }
    window_of_clip_.push_back(window);
  }
  std::ranges::stable_sort(uses_, {}, &Use::place);
}

Result<std::optional<DecodedClip>> ClipPass::Next() {
  if (done()) return std::optional<DecodedClip>();
  if (windows_[window_].repeats) return std::optional(RepeatClip());
  COSMOS_ASSIGN_OR_RETURN(auto open, OpenClipAt(clip_));
  if (!open->writer.complete()) COSMOS_RETURN_IF_ERROR(decoder_ ? TakePictures() : TakeGiven());
  COSMOS_ASSIGN_OR_RETURN(auto clip, FinishClip());
  return std::optional(std::move(clip));
}

// Decodes until the next clip is complete.
Status ClipPass::TakePictures() {
  const int clips = static_cast<int>(window_of_clip_.size());
  if (Status status = decoder_->Begin(plan_, clips); !status.ok()) return status;
  const double before_ms = spent_.decode_ms;
  Status status;
  while (status.ok() && !open_.front().writer.complete()) status = TakePicture();
  decoder_->End(spent_.decode_ms - before_ms);
  return status;
}

Status ClipPass::TakeGiven() {
  const Stopwatch converting;
  for (const WantedPicture& picture : std::exchange(given_, {})) {
    if (Status status = AddPicture(picture); !status.ok()) return status;
  }
  spent_.convert_ms += converting.Milliseconds();
  return {};
}

Status ClipPass::TakePicture() {
  const Stopwatch decoding;
  auto picture = decoder_->Next();
  spent_.decode_ms += decoding.Milliseconds();
  if (!picture.ok()) return picture.TakeStatus();
  if (!picture.value()) {
    const double position = video_.scan.Seconds(video_.scan.index.time(windows_[window_].ranks.front()));
    return NothingDecoded(*video_.demuxer, position, decoder_->refusal());
  }
  const Stopwatch converting;
  Status status = AddPicture(*picture.value());
  spent_.convert_ms += converting.Milliseconds();
  return status;
}

// Adds a picture to every clip that uses it. A picture in host memory is converted and resized here, once;
// device frames are converted when their clip is complete.
Status ClipPass::AddPicture(const WantedPicture& picture) {
  const bool on_device = IsDeviceFrame(*picture.frame);
  if (!on_device) {
    COSMOS_RETURN_IF_ERROR(to_rgb_.Convert(*picture.frame, image_));
    if (!video_.orientation.upright()) image_ = Orient(std::move(image_), video_.orientation);
  }
  spent_.pixel_format = av_get_pix_fmt_name(on_device ? LayoutOf(*picture.frame)
                                                      : static_cast<AVPixelFormat>(picture.frame->format));
  spent_.width = video_.orientation.transpose ? picture.frame->height : picture.frame->width;
  spent_.height = video_.orientation.transpose ? picture.frame->width : picture.frame->height;

  const auto begin = std::ranges::lower_bound(uses_, picture.wanted, {}, &Use::place);
  const auto end = std::ranges::upper_bound(uses_, picture.wanted, {}, &Use::place);
  const std::span<const Use> uses(begin, end);
  const Use& first = uses.front();
  const int rank = video_.scan.index.rank(picture.place);
  const bool from_hardware = decoder_ && decoder_->IsFromHardware(picture);
  for (const Use& use : uses) {
    COSMOS_ASSIGN_OR_RETURN(auto open, OpenClipAt(use.clip));
    OpenClip& clip = *open;
    (from_hardware ? clip.from_hardware : clip.from_cpu) = true;
    if (on_device) {
      clip.writer.Write(use.slot, picture.frame);
    } else if (&use == &first) {
      clip.writer.Write(use.slot, image_);
    } else {
      clip.writer.Copy(use.slot, open_[first.clip - clip_].writer, first.slot);
    }
    clip.frames[use.slot] = InfoOf(rank, WindowOf(use.clip));
    if (picture.place != picture.wanted) {
      ++clip.missing;
    } else if (picture.damaged) {
      ++clip.damaged;
    }
  }
  return {};
}

// Where no frame of a window could be decoded, one from outside of it stands in for the window's nearest.
FrameInfo ClipPass::InfoOf(int rank, const ClipWindow& window) const {
  const FrameIndex& index = video_.scan.index;
  const int shown = std::clamp(rank, window.first_rank, window.first_rank + window.frame_count - 1);
  return {shown - window.first_rank, video_.scan.Seconds(index.time(shown)),
          index.packet(index.place(shown)).keyframe};
}

// Overlapping windows have their clips open at the same time.
Result<ClipPass::OpenClip*> ClipPass::OpenClipAt(int clip) {
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
DecodedClip ClipPass::RepeatClip() {
  const ClipWindow& window = windows_[window_++];
  const bool again = window_ < static_cast<int>(windows_.size()) && windows_[window_].repeats;
  DecodedClip clip = again ? *shared_ : *std::exchange(shared_, std::nullopt);
  clip.start = window.start;
  clip.end = window.end;
  return clip;
}

Result<DecodedClip> ClipPass::FinishClip() {
  OpenClip& done = open_.front();
  const ClipWindow& window = windows_[window_];
  const bool on_device = done.writer.has_device_frames();
  const Stopwatch converting;
  CUstream stream = decoder_ ? decoder_->stream() : nullptr;
  COSMOS_ASSIGN_OR_RETURN(auto pixels, done.writer.TakeClip(request_.gpu.get(), stream, video_.orientation));
  if (on_device) spent_.convert_ms += converting.Milliseconds();
  if (request_.gpu) request_.gpu->CountClip(done.from_hardware);
  DecodedClip clip{.clip = std::move(pixels),
                   .start = window.start,
                   .end = window.end,
                   .frames = std::move(done.frames),
                   .images = done.writer.TakeImages(),
                   .report = Report(done.from_hardware)};
  if (request_.gpu && done.from_cpu) {
    clip.report.decoder_reason =
        decoder_ ? decoder_->reason() : "the CPU decodes every picture to find the shots";
  }
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
DecodeReport ClipPass::Report(bool by_hardware) {
  const DecodeCounts counts = decoder_ ? decoder_->counts() : DecodeCounts();
  spent_.decoded = counts.decoded;
  spent_.discarded = counts.discarded;
  spent_.bytes_read = video_.demuxer->bytes_read();
  if (decoder_) {
    spent_.seeks = decoder_->seeks();
    spent_.wait_ms = decoder_->waited_ms();
    spent_.bytes_read += decoder_->parallel_bytes_read();
  }

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

  report.container = video_.demuxer->container();
  report.codec = video_.demuxer->codec();
  report.decoder = by_hardware ? request_.gpu->backend()->id() : "software";
  report.rotation = video_.orientation.degrees();
  // The container of a joined recording states the duration of one part only.
  const bool joined =
      video_.demuxer->may_be_concatenated() &&
      (video_.scan.index.has_clock_resets() || video_.scan.EndSeconds() > video_.demuxer->duration());
  report.duration =
      video_.demuxer->duration() > 0 && !joined ? video_.demuxer->duration() : video_.scan.EndSeconds();
  if (counts.damage > reported_damage_) {
    report.warnings.push_back(std::to_string(counts.damage - reported_damage_) +
                              " packets or pictures are damaged");
    reported_damage_ = counts.damage;
  }
  if (!video_.demuxer->damage().empty()) {
    report.warnings.push_back("the " + report.container + " ends early: " + video_.demuxer->damage());
  }
  return report;
}

}  // namespace cosmos
