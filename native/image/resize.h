// Pillow's antialiased bilinear resize, bit-exact: PIL.Image.resize((width, height), Image.BILINEAR).
//
// The horizontal pass always runs first, as in CV-CUDA's pillowresize and in Pillow up to 12.1. Later
// versions of Pillow swap the passes where the width grows and the height shrinks, which changes some bytes
// by one.
#pragma once

#include <cstdint>
#include <string_view>

#include "image/rgb_image.h"

namespace cosmos {

// Resizes `src` (not empty) to `dst_width` x `dst_height` (each >= 1), ignoring the aspect ratio. `dst` holds
// 3 * dst_height * dst_width bytes and becomes planar [3, height, width]: one frame of a clip.
void ResizeToPlanar(const RgbImage& src, int dst_width, int dst_height, std::uint8_t* dst);

// The same, but interleaved.
RgbImage Resize(const RgbImage& src, int dst_width, int dst_height);

// The instruction set chosen at run time: "avx2" | "sse2" on x86-64, "neon" on arm64.
std::string_view ResizeSimd();

}  // namespace cosmos
