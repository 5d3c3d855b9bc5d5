#include "fuzz/message_seeds.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "isolation/gpu_messages.h"
#include "isolation/messages.h"

namespace cosmos::fuzz {
namespace {

ClipRequest AnyRequest(FrameRule rule) {
  ClipRequest request;
  request.shape = {.frames = 2, .height = 8, .width = 8};
  request.frame_rule = std::move(rule);
  request.limits.max_bytes = 1 << 20;
  return request;
}

// The answer to the request in fuzz/targets/messages.cc. `images` must be there when its length is even.
DecodedClip AnyClip(bool images, std::string warning) {
  DecodedClip clip;
  clip.end = 1;
  clip.frames = {{.index = 0, .pts = 0, .keyframe = true}, {.index = 7, .pts = 0.5, .keyframe = false}};
  if (images) clip.images = std::vector<RgbImage>(2, {.width = 4, .height = 3, .data = {}});
  clip.report.container = "mp4";
  clip.report.codec = "h264";
  clip.report.decoder = "software";
  clip.report.warnings = {std::move(warning)};
  return clip;
}

}  // namespace

// As fuzz/targets/messages.cc reads them: the first byte tells which message it is.
std::vector<std::pair<std::string, std::string>> MessageSeeds() {
  std::vector<std::pair<std::string, std::string>> files;
  const auto add = [&](const std::string& name, char which, const std::vector<std::uint8_t>& message) {
    files.emplace_back(name, std::string(1, which) + std::string(message.begin(), message.end()));
  };
  add("hello", 0, Encode(Hello{.protocol = 2, .version = "1.0.0", .walls = {}}));
  OpenRequest open{
      .request = AnyRequest(NamedFrameRule::kCard), .windows = {}, .in_memory = true, .bytes = 9};
  add("open", 1, Encode(open));
  open.gpu = GpuOffer{.nvdec = true};
  add("open-gpu", 1, Encode(open));
  OpenRequest windows{
      .request = AnyRequest(FrameIndices{{0, 5}}), .windows = Windows{2, 1}, .in_memory = false, .bytes = 0};
  windows.windows->cuts = {1, 2.5};
  windows.request.end = 8;
  add("windows", 1, Encode(windows));
  windows.request.frame_rule = FrameTimes{{0, 0.5}};
  windows.windows->cuts.reset();
  windows.windows->shots.emplace();
  add("shots", 1, Encode(windows));
  add("pictures", 2,
      Encode(PicturesRequest{.request = AnyRequest(NamedFrameRule::kRounded),
                             .bytes = 100,
                             .pictures = {{0, 60, 0, 0}, {60, 36, 4, 3}}}));
  // Whether the request asks for images follows from the message's length, so each answer comes in both.
  for (const bool images : {false, true}) {
    for (const std::string& warning : {std::string(), std::string("a")}) {
      add((images ? "clip-images-" : "clip-plain-") + std::to_string(warning.size()), 3,
          Encode(AnyClip(images, warning)));
    }
  }
  GpuCall call;
  call.stream = {
      .codec = AV_CODEC_ID_H264, .format = {}, .width = 96, .height = 80, .headers = {0, 0, 1, 0x67}};
  call.work.codec = AV_CODEC_ID_H264;
  const std::vector<std::uint8_t> data{0, 0, 1, 0x65};
  call.packet = {.data = data, .second_field = data.size()};
  call.notes = {{.kind = GpuNote::Kind::kReset}, {.kind = GpuNote::Kind::kDropFrame, .id = 1}};
  call.frames = {{0, 1}, {1, 2}};
  for (int kind = 0; kind <= static_cast<int>(GpuCall::Kind::kMakeClip); ++kind) {
    call.kind = static_cast<GpuCall::Kind>(kind);
    add("gpu-call-" + std::to_string(kind), 4, Encode(call));
  }
  GpuAnswer answer;
  answer.pictures = {{.place = 1, .id = 1, .width = 96, .height = 80, .layout = AV_PIX_FMT_NV12}};
  add("gpu-answer", 5, Encode(answer));
  answer.status = Status(StatusCode::kEngine, "NVDEC refused a picture");
  add("gpu-failure", 5, Encode(answer));
  add("failure", 6, Encode(Status(StatusCode::kLimit, "too large").With("limit", 5.0).With("codec", "png")));
  return files;
}

}  // namespace cosmos::fuzz
