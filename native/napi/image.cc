#include "napi/image.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "image/resize.h"

namespace cosmos {
namespace {

constexpr int kMaxSide = 65535;         // of an input image
constexpr int kMaxResizedSide = 16384;  // of a resized image, which then has at most 768 MiB

}  // namespace

RgbImageArg ReadRgbImage(const Arg& arg) {
  RgbImageArg image{arg["width"].Int(1, kMaxSide), arg["height"].Int(1, kMaxSide), {}};
  const Arg data = arg["data"];
  image.data = data.Bytes();
  const std::int64_t expected = std::int64_t{3} * image.width * image.height;
  if (static_cast<std::int64_t>(image.data.ByteLength()) != expected) {
    data.Fail(std::to_string(expected) + " bytes (3 * width * height)",
              std::to_string(image.data.ByteLength()));
  }
  return image;
}

Napi::Object ToValue(Napi::Env env, const RgbImage& image) {
  auto data = Napi::Uint8Array::New(env, image.data.size());
  std::copy(image.data.begin(), image.data.end(), data.Data());
  Napi::Object object = Napi::Object::New(env);
  object.Set("width", image.width);
  object.Set("height", image.height);
  object.Set("data", data);
  return object;
}

Napi::Value ResizeRgb(const Napi::CallbackInfo& info) {
  const int width = Arg(info[1], "width").Int(1, kMaxResizedSide);
  const int height = Arg(info[2], "height").Int(1, kMaxResizedSide);
  const RgbImageArg image = ReadRgbImage(Arg(info[0], "image"));
  const std::uint8_t* const pixels = image.data.Data();
  const RgbImage source{image.width, image.height, {pixels, pixels + image.data.ByteLength()}};
  return ToValue(info.Env(), Resize(source, width, height));
}

}  // namespace cosmos
