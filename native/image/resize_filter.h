// The filter weights of the resize, shared by the CPU and GPU kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cosmos {

// For each output sample of one axis, the source samples it is made of and their weights.
struct ResizeFilter {
  int taps = 0;                       // the largest count
  std::vector<int> first;             // [out]
  std::vector<int> count;             // [out], <= taps
  std::vector<std::int32_t> weights;  // [out, taps], fixed point (kWeightBits), zero past `count`

  const std::int32_t* row(int out) const { return weights.data() + std::size_t{1} * taps * out; }
};

// Computes Pillow's triangle filter bit-exactly; its support widens with the shrink factor. Sizes must be >=
// 1.
ResizeFilter TriangleFilter(int in_size, int out_size);

}  // namespace cosmos
