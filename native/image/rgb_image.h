// An 8-bit RGB picture at its own size.
#pragma once

#include <cstdint>
#include <vector>

namespace cosmos {

// Interleaved RGB, `data.size() == 3 * width * height`, no row padding.
struct RgbImage {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> data;
};

}  // namespace cosmos
