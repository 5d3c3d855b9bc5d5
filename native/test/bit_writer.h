// Writes headers of H.264 bit by bit, most significant bit first.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace cosmos::test {

class BitWriter {
 public:
  BitWriter& Put(std::uint64_t value, int bits);
  BitWriter& Golomb(std::initializer_list<unsigned> values);
  void Align() { used_ = 0; }
  // The written bits as a NAL unit with a start code.
  std::vector<std::uint8_t> Unit(std::uint8_t header);

 private:
  std::vector<std::uint8_t> bytes_;
  int used_ = 0;
};

}  // namespace cosmos::test
