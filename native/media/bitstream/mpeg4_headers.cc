#include "media/bitstream/mpeg4_headers.h"

#include <algorithm>
#include <bit>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

std::optional<Mpeg4Layer> ReadMpeg4Layer(std::span<const std::uint8_t> layer) {
  constexpr std::uint32_t kExtendedAspect = 15;
  constexpr std::uint32_t kGreyscaleShape = 3;
  BitReader bits(layer);
  bits.Skip(8 + 1 + 8);  // start code, random_accessible_vol, type
  std::uint32_t version = 1;
  if (bits.Bit() != 0) {
    version = bits.Bits(4);
    bits.Skip(3);
  }
  if (bits.Bits(4) == kExtendedAspect) bits.Skip(16);
  if (bits.Bit() != 0) {
    bits.Skip(3);
    if (bits.Bit() != 0) bits.Skip(79);  // vbv_parameters
  }
  if (bits.Bits(2) == kGreyscaleShape && version != 1) bits.Skip(4);
  bits.Skip(1);
  Mpeg4Layer read{.resolution = bits.Bits(16)};
  if (bits.overrun() || read.resolution == 0) return {};
  read.time_bits = std::max(1, static_cast<int>(std::bit_width(read.resolution - 1)));
  bits.Skip(1);
  if (bits.Bit() != 0) read.fixed_increment = bits.Bits(read.time_bits);
  if (bits.overrun()) read.fixed_increment = 0;
  return read;
}

Mpeg4Picture ReadMpeg4Picture(std::span<const std::uint8_t> picture, int time_bits) {
  BitReader bits(picture);
  bits.Skip(8);  // start code
  Mpeg4Picture read{.type = static_cast<Mpeg4Type>(bits.Bits(2))};
  if (time_bits == 0) return read;
  while (bits.Bit() != 0) ++read.seconds;
  bits.Skip(1);
  read.increment = bits.Bits(time_bits);
  bits.Skip(1);
  read.coded = bits.Bit() != 0 || bits.overrun();
  return read;
}

}  // namespace cosmos
