// The headers of H.264, as far as they say how pictures are sampled, numbered and kept for reference.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

// Of a sequence parameter set.
struct H264Sequence {
  std::uint32_t number = 0;
  int chroma = 1;  // 0: none, 1: 4:2:0, 2: 4:2:2, 3: 4:4:4
  bool separate_planes = false;
  int bit_depth = 8;
  int frame_number_bits = 0;
  bool gaps_allowed = false;  // between the numbers of frames
  std::uint32_t order_type = 0;
  int order_bits = 0;
  bool order_is_regular = false;
  bool frames_only = false;
};

// Of a picture parameter set.
struct H264Picture {
  std::uint32_t number = 0;
  std::uint32_t sequence = 0;
  bool bottom_order_present = false;
  std::array<std::uint32_t, 2> references{};  // in the two lists, where a slice does not say
  bool weights_p = false;
  std::uint32_t weights_b = 0;
  bool redundant_number_present = false;
};

struct H264Slice {
  bool idr = false;
  bool reference = false;  // others may refer to its picture
  bool intra = false;
  std::uint32_t frame_number = 0;
  std::uint32_t frame_numbers = 0;  // how many there are before they begin anew
  bool gaps_allowed = false;        // between them
  // Numbers of frames and of the order of presentation begin anew behind this picture, as if it were an IDR
  // picture.
  bool resets = false;
};

// Of a set without its one byte of header. Nothing where it does not make sense.
std::optional<H264Sequence> ReadH264Sequence(std::span<const std::uint8_t> set);

// Keeps the parameter sets that it meets and reads slices by them.
class H264Headers {
 public:
  // Sets of an "avcC" box or between start codes. Returns how many bytes are in the length before each unit
  // of a packet, 0 for start codes.
  int ReadExtradata(std::span<const std::uint8_t> extradata);
  // A unit with its header, if it is a parameter set.
  void Note(std::span<const std::uint8_t> unit);
  // Nothing where its parameter sets are not known, or it does not make sense.
  std::optional<H264Slice> ReadSlice(std::span<const std::uint8_t> unit) const;

 private:
  static constexpr std::size_t kSequences = 32;
  static constexpr std::size_t kPictures = 256;

  const H264Picture* Picture(std::uint32_t number) const;
  const H264Sequence* Sequence(std::uint32_t number) const;

  std::array<std::optional<H264Sequence>, kSequences> sequences_;
  std::array<std::optional<H264Picture>, kPictures> pictures_;
};

}  // namespace cosmos
