// The headers of HEVC, as far as they say which pictures a picture is predicted from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

// A picture that another keeps for reference.
struct HevcReference {
  std::int32_t order = 0;  // from the picture's own number in the order of presentation on, or see below
  bool used = false;       // by that picture itself, and not only by later ones
};

// One that is named by its number, or by the low bits of it.
struct HevcLongReference {
  std::uint32_t low = 0;
  bool used = false;
  std::optional<std::uint32_t> cycles;  // by how many turns of the low bits it lies before the picture
};

// Of a sequence parameter set.
struct HevcSequence {
  std::uint32_t number = 0;
  bool separate_planes = false;
  int order_bits = 0;
  std::vector<std::vector<HevcReference>> sets;
  bool has_long = false;
  std::vector<HevcLongReference> long_sets;
};

// Of a picture parameter set.
struct HevcPicture {
  std::uint32_t number = 0;
  std::uint32_t sequence = 0;
  bool output_flag_present = false;
  int extra_bits = 0;
};

struct HevcSlice {
  int type = 0;  // of the NAL unit
  int temporal_layer = 0;
  std::uint32_t order_low = 0;
  int order_bits = 0;
  std::vector<HevcReference> references;
  std::vector<HevcLongReference> long_references;
};

// Keeps the parameter sets that it meets and reads slices by them. Of several layers, the first.
class HevcHeaders {
 public:
  // Sets of an "hvcC" box or between start codes. Returns how many bytes are in the length before each unit
  // of a packet, 0 for start codes.
  int ReadExtradata(std::span<const std::uint8_t> extradata);
  // A unit with its header, if it is a parameter set.
  void Note(std::span<const std::uint8_t> unit);
  // Of a picture's first slice. Nothing where its parameter sets are not known, or it does not make sense.
  std::optional<HevcSlice> ReadSlice(std::span<const std::uint8_t> unit) const;

 private:
  static constexpr std::size_t kSequences = 16;
  static constexpr std::size_t kPictures = 64;

  std::array<std::optional<HevcSequence>, kSequences> sequences_;
  std::array<std::optional<HevcPicture>, kPictures> pictures_;
};

}  // namespace cosmos
