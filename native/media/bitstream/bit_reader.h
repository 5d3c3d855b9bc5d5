// Reads the bits of a header, most significant first, and removes the emulation prevention bytes of H.264 and
// HEVC on request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cosmos {

class BitReader {
 public:
  enum class Escapes { kNone, kPrevention };

  explicit BitReader(std::span<const std::uint8_t> bytes, Escapes escapes = Escapes::kNone)
      : bytes_(bytes), escapes_(escapes) {}

  unsigned Bit() {
    if (byte_ >= bytes_.size()) {
      overrun_ = true;
      return 0;
    }
    const unsigned bit = bytes_[byte_] >> (7 - bit_) & 1U;
    if (++bit_ == 8) NextByte();
    return bit;
  }
  // Reads up to 32 bits.
  std::uint32_t Bits(int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 1 | Bit();
    return value;
  }
  void Skip(int count) {
    for (int i = 0; i < count && !overrun_; ++i) Bit();
  }
  // Reads ue(v), an unsigned exponential Golomb code. Treats more leading zeros than a 32-bit code has as an
  // overrun.
  std::uint32_t Golomb() {
    constexpr int kMaxZeros = 31;
    int zeros = 0;
    while (!overrun_ && Bit() == 0) overrun_ = overrun_ || ++zeros > kMaxZeros;
    if (overrun_) return 0;
    return (std::uint32_t{1} << zeros) - 1 + Bits(zeros);
  }
  void SkipGolombs(std::uint32_t count) {
    while (count-- > 0 && !overrun_) Golomb();
  }
  // Whether a read went past the end or met an invalid code; returned values are then meaningless.
  bool overrun() const { return overrun_; }

 private:
  void NextByte() {
    constexpr std::uint8_t kEmulationPrevention = 3;
    zeros_ = bytes_[byte_] == 0 ? zeros_ + 1 : 0;
    bit_ = 0;
    ++byte_;
    if (escapes_ == Escapes::kPrevention && zeros_ >= 2 && byte_ < bytes_.size() &&
        bytes_[byte_] == kEmulationPrevention) {
      ++byte_;
      zeros_ = 0;
    }
  }

  std::span<const std::uint8_t> bytes_;
  Escapes escapes_;
  std::size_t byte_ = 0;
  int bit_ = 0;
  int zeros_ = 0;  // consecutive zero bytes
  bool overrun_ = false;
};

}  // namespace cosmos
