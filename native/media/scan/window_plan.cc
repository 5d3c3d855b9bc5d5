#include "media/scan/window_plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace cosmos {
namespace {

constexpr double kMaxWindows = 1e6;
constexpr int kMaxClipFrames = 1024;
constexpr int kMaxClipSide = 4096;

// Bounds the lists of frames per window and of uses per frame. The memory of the clips is checked when they
// are opened, because overlapping windows are open at the same time.
Status CheckLists(double windows, const ClipRequest& request) {
  constexpr double kBytesPerFrame = 24;
  if (windows * request.shape.frames * kBytesPerFrame <= static_cast<double>(request.limits.max_bytes))
    return {};
  return Status(StatusCode::kLimit, "a list of " + std::to_string(request.shape.frames) +
                                        " frames for each of " +
                                        std::to_string(static_cast<std::int64_t>(windows)) +
                                        " windows needs more memory than the limit maxBytes of " +
                                        std::to_string(request.limits.max_bytes) + " bytes")
      .With("limit", static_cast<double>(request.limits.max_bytes));
}

Status TooMany(const std::string& what, double count) {
  return Status(StatusCode::kLimit,
                what + " the video into " + std::to_string(static_cast<std::int64_t>(count)) +
                    " windows; the limit is " + std::to_string(static_cast<std::int64_t>(kMaxWindows)))
      .With("limit", kMaxWindows);
}

Result<std::vector<SecondsRange>> Slide(SecondsRange range, const Windows& windows) {
  const double count = std::ceil((range.end - range.start) / windows.stride);
  if (count > kMaxWindows) {
    return TooMany("a stride of " + std::to_string(windows.stride) + " s cuts", count);
  }
  std::vector<SecondsRange> spans;
  for (int i = 0; i < static_cast<int>(count); ++i) {
    const double start = range.start + i * windows.stride;
    const double stop = std::min(start + windows.seconds, range.end);
    if (i > 0 && stop - start < windows.seconds / 2) break;
    spans.push_back({start, stop});
  }
  return spans;
}

Result<std::vector<SecondsRange>> SplitAtCuts(SecondsRange range, const std::vector<double>& cuts) {
  const auto first = std::ranges::upper_bound(cuts, range.start);
  const auto last = std::ranges::lower_bound(first, cuts.end(), range.end);
  const auto count = static_cast<double>(last - first + 1);
  if (count > kMaxWindows) return TooMany("the list of cuts divides", count);
  std::vector<SecondsRange> spans;
  double start = range.start;
  for (auto cut = first; cut != last; ++cut) {
    spans.push_back({start, *cut});
    start = *cut;
  }
  spans.push_back({start, range.end});
  return spans;
}

// Whether the cuts are finite, 0 or more and ascending.
bool AreCuts(const std::vector<double>& cuts) {
  double before = -1;
  for (const double cut : cuts) {
    if (!std::isfinite(cut) || cut < 0 || cut <= before) return false;
    before = cut;
  }
  return true;
}

// The number of frames that the caller listed; nothing when a rule chooses them.
std::optional<std::size_t> ListedFrames(const FrameRule& rule) {
  if (const auto* indices = std::get_if<FrameIndices>(&rule)) return indices->values.size();
  if (const auto* times = std::get_if<FrameTimes>(&rule)) return times->values.size();
  return std::nullopt;
}

}  // namespace

Status CheckRequest(const ClipRequest& request, const std::optional<Windows>& windows) {
  const auto invalid = [](const std::string& message) {
    return Status(StatusCode::kInvalidArgument, message);
  };
  if (request.shape.frames < 1 || request.shape.height < 1 || request.shape.width < 1) {
    return invalid("a clip needs at least 1 frame of 1 x 1 pixels");
  }
  if (request.shape.height > kMaxClipSide || request.shape.width > kMaxClipSide ||
      request.shape.frames > kMaxClipFrames) {
    return invalid("a clip of " + std::to_string(request.shape.frames) + " frames of " +
                   std::to_string(request.shape.width) + " x " + std::to_string(request.shape.height) +
                   " pixels; at most " + std::to_string(kMaxClipFrames) + " frames of " +
                   std::to_string(kMaxClipSide) + " x " + std::to_string(kMaxClipSide) + " are possible");
  }
  if (request.threads < 1)
    return invalid("threads is " + std::to_string(request.threads) + "; it must be 1 or more");
  if (!std::isfinite(request.start) || request.start < 0) {
    return invalid("start is " + std::to_string(request.start) + "; it must be 0 seconds or more");
  }
  if (request.end && !(*request.end > request.start)) {
    return invalid("end is " + std::to_string(*request.end) + "; it must be after start, " +
                   std::to_string(request.start) + " seconds");
  }
  if (!std::isfinite(request.frame_tolerance) || request.frame_tolerance < 0) {
    return invalid("frameTolerance is " + std::to_string(request.frame_tolerance) +
                   "; it must be 0 seconds or more");
  }
  if (const auto listed = ListedFrames(request.frame_rule);
      listed && *listed != static_cast<std::size_t>(request.shape.frames)) {
    return invalid("frameRule names " + std::to_string(*listed) + " frames; the clip has " +
                   std::to_string(request.shape.frames));
  }
  if (windows && !(windows->seconds > 0 && windows->stride > 0 && std::isfinite(windows->seconds) &&
                   std::isfinite(windows->stride))) {
    return invalid("windows of " + std::to_string(windows->seconds) + " seconds every " +
                   std::to_string(windows->stride) + "; both must be more than 0");
  }
  if (windows && windows->cuts && !AreCuts(*windows->cuts)) {
    return invalid("the cuts must be times of 0 seconds or more, each after the one before");
  }
  if (windows && windows->shots &&
      !(windows->shots->threshold > 0 && windows->shots->min_seconds >= 0 &&
        std::isfinite(windows->shots->threshold) && std::isfinite(windows->shots->min_seconds))) {
    return invalid("shots of at least " + std::to_string(windows->shots->min_seconds) +
                   " seconds with a threshold of " + std::to_string(windows->shots->threshold) +
                   "; they must be at least 0 and more than 0");
  }
  return {};
}

Result<SecondsRange> RangeOf(const VideoScan& scan, const ClipRequest& request) {
  const double video_end = scan.EndSeconds();
  if (request.start >= video_end) {
    return Status(StatusCode::kMedia, "start is " + std::to_string(request.start) +
                                          " s, but the video ends at " + std::to_string(video_end) + " s")
        .With("start", request.start)
        .With("end", video_end);
  }
  return SecondsRange{request.start, std::min(request.end.value_or(video_end), video_end)};
}

Result<ClipWindow> PlanWindow(const VideoScan& scan, SecondsRange range, const ClipRequest& request) {
  const auto [start, end] = range;
  ClipWindow window;
  window.start = start;
  window.end = end;
  window.first_rank = scan.index.RankAtOrAfter(scan.TimeAt(start));
  window.frame_count = scan.index.RankAtOrAfter(scan.TimeAt(end)) - window.first_rank;
  if (window.frame_count <= 0) {
    // No frame begins in the window: the one before is still shown.
    window.first_rank = std::max(window.first_rank - 1, 0);
    window.frame_count = 1;
  }
  const int first = window.first_rank;
  // The clock of a clip from the middle of a video begins with the clip's first frame.
  const std::int64_t zero = scan.index.time(first) == scan.origin ? 0 : scan.index.time(first);
  const ShownFrames frames{
      .count = window.frame_count,
      .seconds = [&](int frame) { return scan.Seconds(scan.index.time(first + frame)); },
      .clock =
          [&](int frame) { return static_cast<double>(scan.index.time(first + frame) - zero) * scan.tick; },
      .start = range.start,
      .end = range.end};
  COSMOS_ASSIGN_OR_RETURN(window.ranks, ChooseFrames(request.frame_rule, frames, request.shape.frames));
  for (int& rank : window.ranks) rank += first;
  return window;
}

Result<std::vector<ClipWindow>> PlanWindows(const VideoScan& scan, const ClipRequest& request,
                                            const std::optional<Windows>& windows) {
  COSMOS_ASSIGN_OR_RETURN(const auto range, RangeOf(scan, request));
  std::vector<SecondsRange> spans = {range};
  if (windows) {
    COSMOS_ASSIGN_OR_RETURN(spans,
                            windows->cuts ? SplitAtCuts(range, *windows->cuts) : Slide(range, *windows));
    COSMOS_RETURN_IF_ERROR(CheckLists(static_cast<double>(spans.size()), request));
  }
  std::vector<ClipWindow> plan;
  std::vector<int> ranks;  // of the last window that does not repeat
  for (const SecondsRange& span : spans) {
    COSMOS_ASSIGN_OR_RETURN(auto window, PlanWindow(scan, span, request));
    if (!plan.empty() && plan.back().first_rank == window.first_rank &&
        plan.back().frame_count == window.frame_count && window.ranks == ranks) {
      window.repeats = true;
      window.ranks = {};
    } else {
      ranks = window.ranks;
    }
    plan.push_back(std::move(window));
  }
  return plan;
}

}  // namespace cosmos
