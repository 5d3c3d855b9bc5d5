// The weights of the resize, for whoever computes it: the CPU's kernels and the GPU's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cosmos {

// Which source samples make each output sample of one axis, and how much of each.
struct ResizeFilter {
  int taps = 0;                       // the widest window
  std::vector<int> first;             // [out]
  std::vector<int> count;             // [out], <= taps
  std::vector<std::int32_t> weights;  // [out, taps] of kWeightBits (resize_kernels.h), zero past `count`

  const std::int32_t* row(int out) const { return weights.data() + std::size_t{1} * taps * out; }
};

// Pillow's triangle, as wide as the shrink factor, to the last bit. Sizes >= 1.
ResizeFilter TriangleFilter(int in_size, int out_size);

}  // namespace cosmos
