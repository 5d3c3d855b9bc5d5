// The arithmetic between YUV and RGB. No header is included here, because code for AVX2 includes this one.
#pragma once

namespace cosmos {

// The conversion from YUV to RGB in swscale's fixed point, so that other code can compute the same bits. With
// 17-bit samples (15 bits, multiplied by 4) and chroma relative to its midpoint:
//   R = ((y - y_offset) * y_scale + cr * cr_to_r + 2^21) >> 22, clipped; and so on.
struct YuvMatrix {
  int y_offset = 0;
  int y_scale = 0;
  int cr_to_r = 0;
  int cr_to_g = 0;
  int cb_to_g = 0;
  int cb_to_b = 0;
  bool full_range = false;
  bool operator==(const YuvMatrix&) const = default;
};

}  // namespace cosmos
