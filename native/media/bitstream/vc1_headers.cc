#include "media/bitstream/vc1_headers.h"

#include "media/bitstream/bit_reader.h"

namespace cosmos {
namespace {

// FPTYPE of two fields: I and I, I and P, P and I, P and P, then four kinds of B and BI.
Vc1Type TypeOfFields(std::uint32_t code) {
  constexpr std::uint32_t kFirstPredicted = 2;
  constexpr std::uint32_t kFirstBidirectional = 4;
  if (code >= kFirstBidirectional) return Vc1Type::kBidirectional;
  return code >= kFirstPredicted ? Vc1Type::kPredicted : Vc1Type::kIntra;
}

// PTYPE of the advanced profile: P 0, B 10, I 110, BI 1110, and 1111 for a P picture that repeats the last.
Vc1Type TypeOfFrame(BitReader& bits) {
  if (bits.Bit() == 0) return Vc1Type::kPredicted;
  if (bits.Bit() == 0) return Vc1Type::kBidirectional;
  if (bits.Bit() == 0) return Vc1Type::kIntra;
  return bits.Bit() == 0 ? Vc1Type::kBidirectional : Vc1Type::kPredicted;
}

}  // namespace

Vc1Sequence ReadVc1Sequence(std::span<const std::uint8_t> header, bool advanced) {
  Vc1Sequence sequence;
  if (advanced) {
    constexpr int kBeforeInterlace = 41;
    BitReader bits(header, BitReader::Escapes::kPrevention);
    bits.Skip(kBeforeInterlace);
    sequence.interlaced = bits.Bit() != 0;
    return sequence;
  }
  constexpr int kBeforeRange = 24;
  BitReader bits(header);
  bits.Skip(kBeforeRange);
  sequence.reduces_range = bits.Bit() != 0;
  sequence.bidirectional = bits.Bits(3) != 0;  // MAXBFRAMES
  bits.Skip(2);                                // QUANTIZER
  sequence.interpolates = bits.Bit() != 0;
  return sequence;
}

std::optional<Vc1Type> ReadVc1Type(std::span<const std::uint8_t> picture, const Vc1Sequence& sequence,
                                   bool advanced) {
  BitReader bits(picture, advanced ? BitReader::Escapes::kPrevention : BitReader::Escapes::kNone);
  Vc1Type type = Vc1Type::kPredicted;
  if (advanced) {
    // FCM: 0 progressive, 10 an interlaced frame, 11 two fields.
    const bool fields = sequence.interlaced && bits.Bit() != 0 && bits.Bit() != 0;
    type = fields ? TypeOfFields(bits.Bits(3)) : TypeOfFrame(bits);
  } else {
    if (sequence.interpolates) bits.Skip(1);
    bits.Skip(2);  // FRMCNT
    if (sequence.reduces_range) bits.Skip(1);
    if (bits.Bit() == 0)
      type = sequence.bidirectional && bits.Bit() == 0 ? Vc1Type::kBidirectional : Vc1Type::kIntra;
  }
  return bits.overrun() ? std::nullopt : std::optional(type);
}

}  // namespace cosmos
