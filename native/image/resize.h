// Pillow's antialiased bilinear resize, bit-exact: PIL.Image.resize((width, height), Image.BILINEAR).
//
// The horizontal pass runs first, always, as in CV-CUDA's pillowresize and in Pillow until 12.1. Newer ones
// swap the passes where x grows and y shrinks, and so differ by one in some bytes there.
#pragma once

#include <cstdint>
#include <string_view>

#include "image/rgb_image.h"

namespace cosmos {

// Squashes `src` (not empty) to `dst_width` x `dst_height` (each >= 1). `dst` holds 3 * dst_height *
// dst_width bytes and becomes planar [3, height, width]: one frame of a clip.
void ResizeToPlanar(const RgbImage& src, int dst_width, int dst_height, std::uint8_t* dst);

// The same pixels, interleaved.
RgbImage Resize(const RgbImage& src, int dst_width, int dst_height);

// The instruction set chosen at run time: "avx2" | "sse2" on x86-64, "neon" on arm64.
std::string_view ResizeSimd();

}  // namespace cosmos
