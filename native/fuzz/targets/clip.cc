// A video file from its first byte to its clips: source, demuxer, index, plan and decode.
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "fuzz/target.h"
#include "media/clip_reader.h"

namespace cosmos::fuzz {
namespace {

constexpr int kMaxClips = 12;

ClipRequest ChooseRequest(Choices& choices) {
  constexpr std::array kRules = {NamedFrameRule::kCard, NamedFrameRule::kCurator, NamedFrameRule::kRounded};
  ClipRequest request;
  request.shape = {.frames = 1 + choices.Below(8), .height = 8, .width = 8};
  request.frame_rule = kRules[static_cast<std::size_t>(choices.Below(3))];
  if (choices.Below(4) == 0) request.start = 0.25 * choices.Below(5);
  if (choices.Below(4) == 0) request.end = request.start + 0.3;
  if (choices.Below(4) == 0) request.frame_tolerance = 0.2;
  request.threads = choices.Below(8) == 0 ? 2 : 1;
  request.keep_images = choices.Below(4) == 0;
  request.limits = SmallLimits();
  return request;
}

void CheckClip(const DecodedClip& clip, const ClipRequest& request) {
  const auto frames = static_cast<std::size_t>(request.shape.frames);
  Require(clip.clip != nullptr, "a clip without pixels");
  Require(clip.frames.size() == frames, "a clip with another number of frames");
  Require(clip.images.size() == (request.keep_images ? frames : 0), "a clip with another number of images");
  Require(std::isfinite(clip.start) && std::isfinite(clip.end), "a clip without a time");
  for (const FrameInfo& frame : clip.frames) {
    // A substitute for a frame that cannot be decoded may lie outside of the range.
    const bool within = frame.index >= 0 && frame.index < clip.report.frame_count;
    Require(within || clip.report.damaged > 0, "a frame outside of the range");
    Require(std::isfinite(frame.pts), "a frame without a time");
  }
}

}  // namespace

void FuzzOne(Bytes input) {
  Choices choices(input);
  const ClipRequest request = ChooseRequest(choices);
  std::optional<Windows> windows;
  if (choices.Below(3) == 0) windows = Windows{.seconds = 0.4, .stride = choices.Below(2) == 0 ? 0.4 : 0.1};
  const auto cancel = std::make_shared<CancelToken>();
  auto reader = ClipReader::Open(MediaBytes{input, nullptr}, request, windows, cancel);
  if (!reader.ok()) return RequireTyped(reader.status());
  for (int i = 0; i < kMaxClips; ++i) {
    auto clip = reader.value()->Next(cancel);
    if (!clip.ok()) return RequireTyped(clip.status());
    if (!clip.value()) return;
    CheckClip(*clip.value(), request);
  }
}

}  // namespace cosmos::fuzz
