// Reads the headers of VC-1 (SMPTE 421M). WMV 3 is its simple and main profile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace cosmos {

// Types of start codes.
namespace vc1 {
inline constexpr std::uint8_t kFrame = 0x0d;
inline constexpr std::uint8_t kEntryPoint = 0x0e;
inline constexpr std::uint8_t kSequence = 0x0f;
}  // namespace vc1

// What a sequence header says about the headers of its pictures.
struct Vc1Sequence {
  bool interlaced = false;     // advanced profile: pictures may be interlaced
  bool interpolates = false;   // simple and main profile: pictures begin with INTERPFRM,
  bool reduces_range = false;  // have a RANGEREDFRM,
  bool bidirectional = false;  // and may be B pictures
};

enum class Vc1Type { kIntra, kPredicted, kBidirectional };

// Takes the bytes after the start code of an advanced profile, or the extradata of another.
Vc1Sequence ReadVc1Sequence(std::span<const std::uint8_t> header, bool advanced);
// The type of a picture in a frame's first bytes, those after a start code. A picture of two fields has the
// type of its first field; a BI picture, which is shown in the place of a B picture, counts as one.
std::optional<Vc1Type> ReadVc1Type(std::span<const std::uint8_t> picture, const Vc1Sequence& sequence,
                                   bool advanced);

}  // namespace cosmos
