// H.264 of grey pictures of any size, a byte for each macroblock.
#pragma once

#include <cstdint>
#include <vector>

namespace cosmos::test {

// An IDR picture with its parameter sets. The sides are multiples of 16.
std::vector<std::uint8_t> FlatPicture(int width, int height);

}  // namespace cosmos::test
