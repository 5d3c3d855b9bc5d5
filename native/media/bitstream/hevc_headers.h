// Reads the headers of HEVC as far as the references of a picture need them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

// An entry of a short-term reference picture set.
struct HevcReference {
  std::int32_t delta_poc = 0;  // relative to the picture that has the set
  bool used = false;           // by that picture itself, not only by later ones
};

// A long-term reference, identified by its picture order count or the low bits of it.
struct HevcLongTermReference {
  std::uint32_t poc_lsb = 0;
  bool used = false;
  // How many wraps of the low bits it lies before the picture. Empty when only the low bits identify it.
  std::optional<std::uint32_t> poc_msb_cycles;
};

// The fields of a sequence parameter set (SPS).
struct HevcSps {
  std::uint32_t id = 0;
  bool separate_colour_planes = false;
  std::int64_t picture_bytes = 0;  // of a decoded picture, before cropping
  int poc_lsb_bits = 0;
  std::vector<std::vector<HevcReference>> short_term_sets;
  bool has_long_term = false;
  std::vector<HevcLongTermReference> long_term_refs;
};

// The fields of a picture parameter set (PPS).
struct HevcPps {
  std::uint32_t id = 0;
  std::uint32_t sps_id = 0;
  bool output_flag_present = false;
  int extra_slice_header_bits = 0;
};

struct HevcSlice {
  int type = 0;  // nal_unit_type
  int temporal_layer = 0;
  std::uint32_t poc_lsb = 0;
  int poc_lsb_bits = 0;
  std::vector<HevcReference> references;
  std::vector<HevcLongTermReference> long_term_references;
};

// Keeps the parameter sets of a stream and parses slice headers with them. Ignores all layers but the first.
class HevcHeaders {
 public:
  // Reads the sets of an hvcC box or of Annex B extradata. Returns the size in bytes of the length field of
  // NAL units, 0 for start codes.
  int ReadExtradata(std::span<const std::uint8_t> extradata);
  // Stores the NAL unit (with its header) if it is a parameter set.
  void Observe(std::span<const std::uint8_t> unit);
  // The most of picture_bytes in any set so far.
  std::int64_t picture_bytes() const { return picture_bytes_; }
  // Reads the first slice of a picture. Returns nothing for other slices, when the parameter sets are
  // unknown, or when the header is invalid.
  std::optional<HevcSlice> ReadSlice(std::span<const std::uint8_t> unit) const;
  // Whether the picture that begins with this slice is only a reference for others: its pic_output_flag is 0.
  bool IsHidden(std::span<const std::uint8_t> unit) const;

 private:
  static constexpr std::size_t kMaxSps = 16;
  static constexpr std::size_t kMaxPps = 64;

  std::array<std::optional<HevcSps>, kMaxSps> sps_;
  std::array<std::optional<HevcPps>, kMaxPps> pps_;
  std::int64_t picture_bytes_ = 0;
};

}  // namespace cosmos
