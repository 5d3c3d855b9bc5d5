// RgbImage, and the resize that tools and tests call.
#pragma once

#include "image/rgb_image.h"
#include "napi/arg.h"
#include "napi/node.h"

namespace cosmos {

// A RgbImage of JavaScript whose pixels are not copied yet.
struct RgbImageArg {
  int width = 0;
  int height = 0;
  Napi::Uint8Array data;  // of exactly 3 * width * height bytes
};
RgbImageArg ReadRgbImage(const Arg& arg);

Napi::Object ToValue(Napi::Env env, const RgbImage& image);

Napi::Value ResizeRgb(const Napi::CallbackInfo& info);

}  // namespace cosmos
