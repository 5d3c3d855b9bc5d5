#include "media/clip_reader.h"

#include <utility>

#include "base/stopwatch.h"
#include "media/clip_pass.h"
#include "media/shots/shot_finder.h"

namespace cosmos {
namespace {

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

class VideoClipReader final : public ClipReader {
 public:
  explicit VideoClipReader(const ClipRequest& request)
      : request_(request), guard_(request.limits.max_wall_seconds, request.limits.max_bytes) {}

  Status Open(MediaSource source, const std::optional<Windows>& windows, CancelTokenPtr cancel);
  Result<std::optional<DecodedClip>> Next(CancelTokenPtr cancel) override;

 private:
  Status OpenVideo(MediaSource source, const std::optional<Windows>& windows);
  Status OpenShots(const ShotOptions& options);
  Result<std::optional<DecodedClip>> NextClip();
  Result<std::optional<DecodedClip>> NextShot();
  void AddCostOfShot(DecodedClip& clip, double find_ms);

  const ClipRequest request_;
  JobGuard guard_;
  OpenedVideo video_;
  std::unique_ptr<ClipPass> pass_;  // null once it is done, or with shots
  double open_ms_ = 0;              // not in a report yet
  std::unique_ptr<ShotFinder> shots_;
  DecodeCounts counts_of_shots_;  // in the reports so far
  int seeks_of_shots_ = 0;
  std::int64_t bytes_of_shots_ = 0;
  std::int64_t bytes_of_clips_ = 0;
  Status error_;
};

Status VideoClipReader::Open(MediaSource source, const std::optional<Windows>& windows,
                             CancelTokenPtr cancel) {
  const JobGuard::Call call(guard_, std::move(cancel));
  const Stopwatch stopwatch;
  if (Status status = CheckRequest(request_, windows); !status.ok()) return status;
  Status status = OpenVideo(std::move(source), windows);
  // FFmpeg may take a failed allocation for damage, or ignore it.
  COSMOS_RETURN_IF_ERROR(guard_.memory().Check());
  if (!status.ok()) return status;
  open_ms_ = stopwatch.Milliseconds();
  if (pass_) pass_->AddCost(open_ms_, 0);
  return {};
}

Status VideoClipReader::OpenVideo(MediaSource source, const std::optional<Windows>& windows) {
  video_.media = std::move(source);
  // The container is opened again on the way. By then its name may be that of another file.
  if (const auto* path = std::get_if<MediaPath>(&video_.media)) {
    COSMOS_ASSIGN_OR_RETURN(video_.media, OpenMediaFile(*path));
  }
  COSMOS_ASSIGN_OR_RETURN(video_.demuxer, Demuxer::Open(video_.media, request_.limits, guard_));
  COSMOS_ASSIGN_OR_RETURN(video_.scan,
                          ScanVideo(*video_.demuxer, request_.start, request_.end, request_.limits));
  video_.orientation = OrientationOf(video_.demuxer->stream());
  if (windows && windows->shots) return OpenShots(*windows->shots);
  COSMOS_ASSIGN_OR_RETURN(auto plan, PlanWindows(video_.scan, request_, windows));
  pass_ = std::make_unique<ClipPass>(video_, request_, guard_);
  return pass_->Open(std::move(plan));
}

Status VideoClipReader::OpenShots(const ShotOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(const auto range, RangeOf(video_.scan, request_));
  COSMOS_ASSIGN_OR_RETURN(shots_,
                          ShotFinder::Open(video_.media, video_.scan, request_, options, range, guard_));
  return {};
}

Result<std::optional<DecodedClip>> VideoClipReader::Next(CancelTokenPtr cancel) {
  if (!error_.ok()) return error_;
  const JobGuard::Call call(guard_, std::move(cancel));
  auto clip = NextClip();
  if (Status status = guard_.memory().Check(); !status.ok()) clip = std::move(status);
  if (!clip.ok()) error_ = clip.status();
  // The caller may keep this reader for long, so the decoder and its hardware are released now.
  if (!clip.ok() || (pass_ && pass_->done())) pass_.reset();
  if (!clip.ok() || (shots_ && shots_->done())) shots_.reset();
  guard_.Restart();
  return clip;
}

Result<std::optional<DecodedClip>> VideoClipReader::NextClip() {
  if (shots_) return NextShot();
  if (pass_) return pass_->Next();
  return std::optional<DecodedClip>();
}

// Each shot has a pass of its own, which makes the same clip as a request for the shot's range.
Result<std::optional<DecodedClip>> VideoClipReader::NextShot() {
  const Stopwatch finding;
  COSMOS_ASSIGN_OR_RETURN(auto shot, shots_->Next());
  if (!shot) return std::optional<DecodedClip>();
  const double find_ms = finding.Milliseconds();
  COSMOS_ASSIGN_OR_RETURN(auto window, PlanWindow(video_.scan, shot->range, request_));
  ClipPass pass(video_, request_, guard_);
  pass.AddCost(std::exchange(open_ms_, 0), bytes_of_clips_);
  if (Status status = pass.Open({std::move(window)}, shot->pictures); !status.ok()) return status;
  shot->pictures = {};
  auto clip = pass.Next();
  if (clip.ok() && clip.value()) AddCostOfShot(*clip.value(), find_ms);
  return clip;
}

void VideoClipReader::AddCostOfShot(DecodedClip& clip, double find_ms) {
  DecodeReport& report = clip.report;
  bytes_of_clips_ += report.bytes_read;
  const DecodeCounts& counts = shots_->counts();
  report.decode_ms += find_ms;
  report.decoded += counts.decoded - counts_of_shots_.decoded;
  report.discarded += counts.discarded - counts_of_shots_.discarded;
  report.seeks += shots_->seeks() - std::exchange(seeks_of_shots_, shots_->seeks());
  report.bytes_read += shots_->bytes_read() - std::exchange(bytes_of_shots_, shots_->bytes_read());
  counts_of_shots_ = counts;
}

}  // namespace

Result<std::unique_ptr<ClipReader>> ClipReader::Open(MediaSource source, const ClipRequest& request,
                                                     const std::optional<Windows>& windows,
                                                     CancelTokenPtr cancel) {
  auto reader = std::make_unique<VideoClipReader>(request);
  if (Status status = reader->Open(std::move(source), windows, std::move(cancel)); !status.ok())
    return status;
  return std::unique_ptr<ClipReader>(std::move(reader));
}

}  // namespace cosmos
