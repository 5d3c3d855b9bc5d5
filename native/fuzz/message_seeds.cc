#include "fuzz/message_seeds.h"

#include <cstdint>

#include "isolation/gpu_messages.h"
#include "isolation/messages.h"

namespace cosmos::fuzz {

// As fuzz/targets/messages.cc reads them: the first byte tells which message it is.
std::vector<std::pair<std::string, std::string>> MessageSeeds() {
  std::vector<std::pair<std::string, std::string>> files;
  const auto add = [&](const std::string& name, char which, const std::vector<std::uint8_t>& message) {
    files.emplace_back(name, std::string(1, which) + std::string(message.begin(), message.end()));
  };
  add("hello", 0, Encode(Hello{.protocol = 2, .version = "1.0.0", .walls = {}}));
  OpenRequest open{.request = {}, .windows = Windows{}};
  add("open", 1, Encode(open));
  open.gpu = GpuOffer{.nvdec = true};
  add("open-gpu", 1, Encode(open));
  add("pictures", 2, Encode(PicturesRequest{.request = {}, .bytes = 9, .pictures = {{0, 9, 0, 0}}}));
  DecodedClip clip;
  clip.frames.resize(2);
  clip.report.decoder = "software";
  add("clip", 3, Encode(clip));
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
  add("failure", 6, Encode(Status(StatusCode::kMedia, "damaged")));
  return files;
}

}  // namespace cosmos::fuzz
