// The inner loop of the conversion from 4:2:0 to RGB, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "image/yuv_matrix.h"

namespace cosmos {

// A line of a picture, and the two lines of chroma that it lies between. Samples of more than 8 bits take two
// bytes, in the byte order of the machine.
struct YuvLine {
  const std::uint8_t* luma = nullptr;
  const std::uint8_t* near_cb = nullptr;  // a quarter of a chroma sample away
  const std::uint8_t* near_cr = nullptr;
  const std::uint8_t* far_cb = nullptr;  // three quarters away
  const std::uint8_t* far_cr = nullptr;
  int width = 0;      // of the luma; chroma has half as many samples, rounded up
  int bit_depth = 8;  // at most 10: with more, swscale rounds the chroma of a pixel
};

// How many numbers of scratch memory a line of this width needs.
constexpr int YuvScratch(int width) { return 5 * ((width + 1) / 2) + 2; }

struct YuvKernels {
  // Writes `line.width` pixels of 3 bytes each.
  void (*to_rgb)(const YuvLine& line, const YuvMatrix& matrix, std::uint16_t* scratch, std::uint8_t* rgb);
};

const YuvKernels& BaselineYuvKernels();  // runs on every CPU of the architecture
#if defined(__x86_64__)
const YuvKernels& Avx2YuvKernels();
#endif

}  // namespace cosmos
