#include "media/window_plan.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace cosmos {
namespace {

constexpr double kMaxWindows = 1e6;
constexpr int kMaxClipFrames = 1024;
constexpr int kMaxClipSide = 4096;

ClipWindow MakeWindow(const VideoScan& scan, double start, double end, int frames) {
  ClipWindow window;
  window.start = start;
  window.end = end;
  window.first_rank = scan.index.RankAtOrAfter(scan.TimeAt(start));
  window.frame_count = scan.index.RankAtOrAfter(scan.TimeAt(end)) - window.first_rank;
  if (window.frame_count <= 0) {
    // No frame begins in it: a viewer still sees the one before.
    window.first_rank = std::max(window.first_rank - 1, 0);
    window.frame_count = 1;
  }
  window.ranks = ChooseFrames(window.frame_count, frames);
  for (int& rank : window.ranks) rank += window.first_rank;
  return window;
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
  if (windows && !(windows->seconds > 0 && windows->stride > 0 && std::isfinite(windows->seconds) &&
                   std::isfinite(windows->stride))) {
    return invalid("windows of " + std::to_string(windows->seconds) + " seconds every " +
                   std::to_string(windows->stride) + "; both must be more than 0");
  }
  return {};
}

std::vector<int> ChooseFrames(int count, int wanted) {
  std::vector<int> frames(wanted);
  for (int i = 0; i < wanted && wanted > 1; ++i) {
    frames[i] = static_cast<int>(std::int64_t{i} * (count - 1) / (wanted - 1));
  }
  return frames;
}

Result<std::vector<ClipWindow>> PlanWindows(const VideoScan& scan, const ClipRequest& request,
                                            const std::optional<Windows>& windows) {
  const double video_end = scan.EndSeconds();
  if (request.start >= video_end) {
    return Status(StatusCode::kMedia, "start is " + std::to_string(request.start) +
                                          " s, but the video ends at " + std::to_string(video_end) + " s")
        .With("start", request.start)
        .With("end", video_end);
  }
  const double end = std::min(request.end.value_or(video_end), video_end);
  if (!windows) return std::vector{MakeWindow(scan, request.start, end, request.shape.frames)};

  const double count = std::ceil((end - request.start) / windows->stride);
  if (count > kMaxWindows) {
    return Status(StatusCode::kLimit, "a stride of " + std::to_string(windows->stride) +
                                          " s cuts the video into " + std::to_string(count) +
                                          " windows; the limit is " + std::to_string(kMaxWindows))
        .With("limit", kMaxWindows);
  }
  std::vector<ClipWindow> plan;
  for (int i = 0; i < static_cast<int>(count); ++i) {
    const double start = request.start + i * windows->stride;
    const double stop = std::min(start + windows->seconds, end);
    if (i > 0 && stop - start < windows->seconds / 2) break;
    ClipWindow window = MakeWindow(scan, start, stop, request.shape.frames);
    if (!plan.empty() && plan.back().first_rank == window.first_rank &&
        plan.back().frame_count == window.frame_count) {
      window.repeats = true;
      window.ranks = {};
    }
    plan.push_back(std::move(window));
  }
  return plan;
}

}  // namespace cosmos
