// Converts RgbImage from and to JavaScript. Binds resizeRgb, which tools and tests use.
#pragma once

#include "image/rgb_image.h"
#include "napi/arg.h"
#include "napi/node.h"

namespace cosmos {

// An RgbImage argument whose pixels are not copied yet.
struct RgbImageArg {
  int width = 0;
  int height = 0;
  Napi::Uint8Array data;  // exactly 3 * width * height bytes
};
RgbImageArg ReadRgbImage(const Arg& arg);

Napi::Object ToValue(Napi::Env env, const RgbImage& image);

Napi::Value ResizeRgb(const Napi::CallbackInfo& info);

}  // namespace cosmos
