// Reads the headers of H.264 as far as sampling, numbering and reference marking need them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

// The fields of a sequence parameter set (SPS).
struct H264Sps {
  std::uint32_t id = 0;
  int chroma = 1;  // 0: none, 1: 4:2:0, 2: 4:2:2, 3: 4:4:4
  bool separate_colour_planes = false;
  int bit_depth = 8;
  int frame_num_bits = 0;
  bool frame_num_gaps_allowed = false;  // gaps_in_frame_num_value_allowed_flag
  std::uint32_t poc_type = 0;
  int poc_lsb_bits = 0;
  bool delta_poc_always_zero = false;
  bool frames_only = false;
  std::int64_t pixels = 0;      // of a coded picture, before cropping
  int references = 0;           // max_num_ref_frames
  bool states_range = false;    // video_signal_type_present_flag
  bool states_colours = false;  // colour_description_present_flag
  // How many pictures a decoder withholds to put them in order: 16, the most, unless the set says so.
  int reordered = 16;
  // What a decoder allocates for one picture, and how many it keeps at a time, at most.
  std::int64_t PictureBytes() const;
  int KeptPictures() const;
};

// The fields of a picture parameter set (PPS).
struct H264Pps {
  std::uint32_t id = 0;
  std::uint32_t sps_id = 0;
  bool bottom_poc_present = false;
  std::array<std::uint32_t, 2> references{};  // default sizes of the two reference lists
  bool weighted_pred = false;
  std::uint32_t weighted_bipred_idc = 0;
  bool redundant_pic_cnt_present = false;
};

struct H264Slice {
  bool idr = false;
  bool reference = false;  // nal_ref_idc is not 0
  bool intra = false;
  std::uint32_t frame_num = 0;
  std::uint32_t max_frame_num = 0;  // frame_num wraps at this value
  bool frame_num_gaps_allowed = false;
  // memory_management_control_operation 5: frame_num and the picture order count restart after this picture,
  // as after an IDR picture.
  bool has_mmco5 = false;
};

// Parses an SPS without its one-byte NAL header. Returns nothing when it is invalid.
std::optional<H264Sps> ReadH264Sps(std::span<const std::uint8_t> set);

// Keeps the parameter sets of a stream and parses slice headers with them.
class H264Headers {
 public:
  // Reads the sets of an avcC box or of Annex B extradata. Returns the size in bytes of the length field of
  // NAL units, 0 for start codes.
  int ReadExtradata(std::span<const std::uint8_t> extradata);
  // Stores the NAL unit (with its header) if it is a parameter set.
  void Observe(std::span<const std::uint8_t> unit);
  // The most of PictureBytes() and of KeptPictures() in any set so far.
  std::int64_t picture_bytes() const { return picture_bytes_; }
  int kept_pictures() const { return kept_pictures_; }
  // The set with the lowest number, or null.
  const H264Sps* first_sps() const {
    const auto found = std::ranges::find_if(sps_, [](const auto& sps) { return sps.has_value(); });
    return found == sps_.end() ? nullptr : &**found;
  }
  // Returns nothing when the parameter sets of the slice are unknown or its header is invalid.
  std::optional<H264Slice> ReadSlice(std::span<const std::uint8_t> unit) const;

 private:
  static constexpr std::size_t kMaxSps = 32;
  static constexpr std::size_t kMaxPps = 256;

  const H264Pps* Pps(std::uint32_t id) const;
  const H264Sps* Sps(std::uint32_t id) const;

  std::array<std::optional<H264Sps>, kMaxSps> sps_;
  std::array<std::optional<H264Pps>, kMaxPps> pps_;
  std::int64_t picture_bytes_ = 0;
  int kept_pictures_ = 0;
};

}  // namespace cosmos
