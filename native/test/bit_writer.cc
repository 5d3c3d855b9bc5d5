#include "bit_writer.h"

namespace cosmos::test {

BitWriter& BitWriter::Put(std::uint64_t value, int bits) {
  for (int bit = bits - 1; bit >= 0; --bit) {
    if (used_ == 0) bytes_.push_back(0);
    bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | (value >> bit & 1) << (7 - used_));
    used_ = (used_ + 1) % 8;
  }
  return *this;
}

BitWriter& BitWriter::Golomb(std::initializer_list<unsigned> values) {
  for (const unsigned value : values) {
    const std::uint64_t code = std::uint64_t{value} + 1;
    int bits = 1;
    while (code >> bits != 0) ++bits;
    Put(code, 2 * bits - 1);
  }
  return *this;
}

std::vector<std::uint8_t> BitWriter::Unit(std::uint8_t header) {
  Put(1, 1);
  std::vector<std::uint8_t> unit = {0, 0, 0, 1, header};
  int zeros = 0;
  for (const std::uint8_t byte : bytes_) {
    if (zeros == 2 && byte <= 3) unit.push_back(3);
    zeros = zeros == 2 && byte <= 3 ? 0 : zeros;
    zeros = byte == 0 ? zeros + 1 : 0;
    unit.push_back(byte);
  }
  return unit;
}

}  // namespace cosmos::test
