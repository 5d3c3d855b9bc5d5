// The two inner loops of the resize, compiled once per instruction set.
#pragma once

#include <cstdint>

namespace cosmos {

// Weights are fixed point with this many fractional bits. As in Pillow: 32 bits, less 8 of the pixel, less 2
// of headroom.
inline constexpr int kWeightBits = 22;

// Source and intermediate rows must be readable this far past their last byte.
inline constexpr int kReadSlack = 64;

// Each output pixel reads the bytes [first, first + steps * lanes) of a source row.
struct HorizontalFilter {
  const std::int32_t* first;    // [width], byte offsets
  const std::int32_t* weights;  // [width, steps * lanes], one per byte, zero past the taps
  int width;
  int steps;
};

struct ResizeKernels {
  const char* name;
  int lanes;
  // Resizes one row of 3-byte pixels to `filter.width` pixels. Channel c of output pixel x goes to dst[x *
  // pixel_stride + c * channel_stride].
  void (*horizontal)(const std::uint8_t* src, const HorizontalFilter& filter, std::uint8_t* dst,
                     int pixel_stride, int channel_stride);
  // Computes the weighted sum of `taps` rows that lie `row_stride` bytes apart.
  void (*vertical)(const std::uint8_t* rows, std::int64_t row_stride, const std::int32_t* weights, int taps,
                   std::uint8_t* dst, int bytes);
};

const ResizeKernels& BaselineResizeKernels();  // runs on every CPU of the architecture
#if defined(__x86_64__)
const ResizeKernels& Avx2ResizeKernels();
#endif

}  // namespace cosmos
