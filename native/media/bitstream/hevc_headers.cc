#include "media/bitstream/hevc_headers.h"

#include <algorithm>
#include <bit>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;
using References = std::vector<HevcReference>;

constexpr std::size_t kHeader = 2;  // bytes of a NAL unit's header
constexpr std::uint32_t kMaxReferences = 16;
constexpr std::uint32_t kMaxSets = 64;
constexpr std::uint32_t kMaxLongTerm = 32;

BitReader Reader(Bytes unit) {
  return BitReader(unit.subspan(std::min(kHeader, unit.size())), BitReader::Escapes::kPrevention);
}

// The number of bits of an index into `count` entries.
int BitsFor(std::size_t count) { return count > 1 ? static_cast<int>(std::bit_width(count - 1)) : 0; }

void SkipProfile(BitReader& bits, int more_layers) {
  constexpr int kProfile = 88;
  constexpr int kLevel = 8;
  constexpr int kMaxLayers = 8;
  bits.Skip(kProfile + kLevel);
  int skip = 0;
  for (int layer = 0; layer < more_layers; ++layer) {
    if (bits.Bit() != 0) skip += kProfile;
    if (bits.Bit() != 0) skip += kLevel;
  }
  if (more_layers > 0) bits.Skip(2 * (kMaxLayers - more_layers));
  bits.Skip(skip);
}

void SkipScalingLists(BitReader& bits) {
  constexpr int kSizes = 4;
  constexpr int kMatrices = 6;
  for (int size = 0; size < kSizes; ++size) {
    for (int matrix = 0; matrix < kMatrices && !bits.overrun(); matrix += size == kSizes - 1 ? 3 : 1) {
      if (bits.Bit() == 0) {
        bits.Golomb();
      } else {
        bits.SkipGolombs(static_cast<std::uint32_t>(std::min(64, 16 << 2 * size)) + (size > 1 ? 1 : 0));
      }
    }
  }
}

// Reads a set that is coded as the difference from an earlier one.
std::optional<References> ReadPredictedSet(BitReader& bits, std::span<const References> sets, bool in_slice) {
  const std::uint32_t back = in_slice ? bits.Golomb() : 0;
  const bool negative = bits.Bit() != 0;
  const auto distance = static_cast<std::int32_t>(bits.Golomb() & 0xffff) + 1;
  if (bits.overrun() || back >= sets.size()) return std::nullopt;
  const std::int32_t shift = negative ? -distance : distance;
  const References& other = sets[sets.size() - 1 - back];
  References set;
  for (std::size_t i = 0; i <= other.size(); ++i) {
    const bool used = bits.Bit() != 0;
    const bool kept = used || bits.Bit() != 0;
    const std::int32_t delta_poc = (i < other.size() ? other[i].delta_poc : 0) + shift;
    if (kept && delta_poc != 0) set.push_back({delta_poc, used});
  }
  // Nearest first: those before the picture, then those after it.
  std::ranges::sort(set, {}, [](const HevcReference& reference) {
    return std::pair(reference.delta_poc > 0, std::abs(reference.delta_poc));
  });
  return set;
}

std::optional<References> ReadSet(BitReader& bits, std::span<const References> sets, bool in_slice) {
  if (!sets.empty() && bits.Bit() != 0) return ReadPredictedSet(bits, sets, in_slice);
  const std::array counts = {bits.Golomb(), bits.Golomb()};
  if (bits.overrun() || std::ranges::max(counts) > kMaxReferences) return std::nullopt;
  References set;
  for (const int sign : {-1, 1}) {
    std::int32_t delta_poc = 0;
    for (std::uint32_t i = 0; i < counts.at(sign < 0 ? 0 : 1); ++i) {
      delta_poc += sign * (static_cast<std::int32_t>(bits.Golomb() & 0xffff) + 1);
      set.push_back({delta_poc, bits.Bit() != 0});
    }
  }
  return set;
}

std::optional<HevcSps> ReadSps(Bytes unit) {
  BitReader bits = Reader(unit);
  bits.Skip(4);
  const auto more_layers = static_cast<int>(bits.Bits(3));
  bits.Skip(1);
  SkipProfile(bits, more_layers);
  HevcSps sps;
  sps.id = bits.Golomb();
  constexpr std::uint32_t kAllChroma = 3;
  constexpr std::uint32_t kMaxSide = 1 << 16;  // as in FFmpeg
  const std::uint32_t chroma = bits.Golomb();
  sps.separate_colour_planes = chroma == kAllChroma && bits.Bit() != 0;
  const std::uint32_t width = std::min(bits.Golomb(), kMaxSide);
  const std::uint32_t height = std::min(bits.Golomb(), kMaxSide);
  if (bits.Bit() != 0) bits.SkipGolombs(4);  // cropping
  const bool deep = bits.Golomb() > 0;
  bits.Golomb();  // bit depth of chroma, which must be the same
  // Samples per four pixels, by kind of chroma, and two more bytes for motion vectors and filters.
  constexpr std::array<std::int64_t, 4> kSamples = {4, 6, 8, 12};
  const std::int64_t four = kSamples.at(std::min(chroma, kAllChroma)) * (deep ? 2 : 1) + 2;
  sps.picture_bytes = std::int64_t{width} * height * four / 4;
  sps.poc_lsb_bits = static_cast<int>(std::min<std::uint32_t>(bits.Golomb(), 12)) + 4;
  const int layers = bits.Bit() != 0 ? more_layers + 1 : 1;
  bits.SkipGolombs(3 * static_cast<std::uint32_t>(layers));
  bits.SkipGolombs(6);  // block sizes and depths
  if (bits.Bit() != 0 && bits.Bit() != 0) SkipScalingLists(bits);
  bits.Skip(2);
  if (bits.Bit() != 0) {
    bits.Skip(8);
    bits.SkipGolombs(2);
    bits.Skip(1);
  }
  const std::uint32_t sets = bits.Golomb();
  if (bits.overrun() || sets > kMaxSets) return std::nullopt;
  for (std::uint32_t i = 0; i < sets; ++i) {
    auto set = ReadSet(bits, sps.short_term_sets, /*in_slice=*/false);
    if (!set) return std::nullopt;
    sps.short_term_sets.push_back(*std::move(set));
  }
  sps.has_long_term = bits.Bit() != 0;
  const std::uint32_t count = sps.has_long_term ? bits.Golomb() : 0;
  if (count > kMaxLongTerm) return std::nullopt;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t poc_lsb = bits.Bits(sps.poc_lsb_bits);
    sps.long_term_refs.push_back({.poc_lsb = poc_lsb, .used = bits.Bit() != 0, .poc_msb_cycles = {}});
  }
  if (bits.overrun()) return std::nullopt;
  return sps;
}

std::optional<HevcPps> ReadPps(Bytes unit) {
  BitReader bits = Reader(unit);
  HevcPps pps;
  pps.id = bits.Golomb();
  pps.sps_id = bits.Golomb();
  bits.Skip(1);  // dependent_slice_segments_enabled_flag
  pps.output_flag_present = bits.Bit() != 0;
  pps.extra_slice_header_bits = static_cast<int>(bits.Bits(3));
  if (bits.overrun()) return std::nullopt;
  return pps;
}

bool ReadLongTermReferences(BitReader& bits, const HevcSps& sps, HevcSlice& slice) {
  const std::uint32_t named = sps.long_term_refs.empty() ? 0 : bits.Golomb();
  const std::uint32_t written = bits.Golomb();
  if (bits.overrun() || named > kMaxLongTerm || written > kMaxLongTerm) return false;
  std::uint32_t poc_msb_cycles = 0;
  for (std::uint32_t i = 0; i < named + written; ++i) {
    HevcLongTermReference reference;
    if (i < named) {
      const std::uint32_t set = bits.Bits(BitsFor(sps.long_term_refs.size()));
      if (set >= sps.long_term_refs.size()) return false;
      reference = sps.long_term_refs[set];
    } else {
      reference.poc_lsb = bits.Bits(sps.poc_lsb_bits);
      reference.used = bits.Bit() != 0;
    }
    // The cycles are coded as increments, separately for the two lists.
    const bool has_cycles = bits.Bit() != 0;
    if (i == 0 || i == named) poc_msb_cycles = 0;
    if (has_cycles) poc_msb_cycles += bits.Golomb();
    if (has_cycles) reference.poc_msb_cycles = poc_msb_cycles;
    slice.long_term_references.push_back(reference);
  }
  return true;
}

}  // namespace

int HevcHeaders::ReadExtradata(Bytes extradata) {
  constexpr std::size_t kLength = 21;
  if (extradata.empty() || extradata[0] != 1) {
    ForEachStartCode(extradata, [&](Bytes unit) {
      Observe(unit);
      return true;
    });
    return 0;
  }
  if (extradata.size() <= kLength + 1) return 0;
  std::size_t at = kLength + 1;
  int arrays = extradata[at++];
  for (; arrays > 0 && at + 3 <= extradata.size(); --arrays) {
    const int count = extradata[at + 1] << 8 | extradata[at + 2];
    at += 3;
    at = ForEachSet(extradata, at, count, [&](Bytes unit) { Observe(unit); });
  }
  return (extradata[kLength] & 3) + 1;
}

void HevcHeaders::Observe(Bytes unit) {
  if (unit.size() <= kHeader) return;
  const bool is_first_layer = (unit[0] & 1) == 0 && unit[1] >> 3 == 0;
  const int type = unit[0] >> 1 & 0x3f;
  if (!is_first_layer) return;
  if (type == hevc::kSps) {
    auto set = ReadSps(unit);
    if (!set || set->id >= kMaxSps) return;
    picture_bytes_ = std::max(picture_bytes_, set->picture_bytes);
    sps_.at(set->id) = std::move(set);
  } else if (type == hevc::kPps) {
    const auto set = ReadPps(unit);
    if (set && set->id < kMaxPps) pps_.at(set->id) = set;
  }
}

std::optional<HevcSlice> HevcHeaders::ReadSlice(Bytes unit) const {
  if (unit.size() <= kHeader) return std::nullopt;
  HevcSlice slice;
  slice.type = unit[0] >> 1 & 0x3f;
  slice.temporal_layer = (unit[1] & 7) - 1;
  BitReader bits = Reader(unit);
  if (bits.Bit() == 0) return std::nullopt;  // not the first slice of its picture
  if (slice.type >= hevc::kFirstIrap && slice.type <= hevc::kLastIrap) bits.Skip(1);
  const std::uint32_t pps_id = bits.Golomb();
  if (pps_id >= kMaxPps || !pps_.at(pps_id)) return std::nullopt;
  const HevcPps& pps = *pps_.at(pps_id);
  if (pps.sps_id >= kMaxSps || !sps_.at(pps.sps_id)) return std::nullopt;
  const HevcSps& sps = *sps_.at(pps.sps_id);
  slice.poc_lsb_bits = sps.poc_lsb_bits;
  bits.Skip(pps.extra_slice_header_bits);
  bits.Golomb();  // slice_type
  if (pps.output_flag_present) bits.Skip(1);
  if (sps.separate_colour_planes) bits.Skip(2);
  if (slice.type == hevc::kFirstIdr || slice.type == hevc::kLastIdr) {
    if (bits.overrun()) return std::nullopt;
    return slice;
  }
  slice.poc_lsb = bits.Bits(sps.poc_lsb_bits);
  if (bits.Bit() == 0) {
    auto set = ReadSet(bits, sps.short_term_sets, /*in_slice=*/true);
    if (!set) return std::nullopt;
    slice.references = *std::move(set);
  } else {
    const std::uint32_t set = bits.Bits(BitsFor(sps.short_term_sets.size()));
    if (set >= sps.short_term_sets.size()) return std::nullopt;
    slice.references = sps.short_term_sets[set];
  }
  if (sps.has_long_term && !ReadLongTermReferences(bits, sps, slice)) return std::nullopt;
  if (bits.overrun()) return std::nullopt;
  return slice;
}

bool HevcHeaders::IsHidden(Bytes unit) const {
  if (unit.size() <= kHeader) return false;
  const int type = unit[0] >> 1 & 0x3f;
  BitReader bits = Reader(unit);
  if (bits.Bit() == 0) return false;  // not the first slice of its picture
  if (type >= hevc::kFirstIrap && type <= hevc::kLastIrap) bits.Skip(1);
  const std::uint32_t pps_id = bits.Golomb();
  if (pps_id >= kMaxPps || !pps_.at(pps_id) || !pps_.at(pps_id)->output_flag_present) return false;
  bits.Skip(pps_.at(pps_id)->extra_slice_header_bits);
  bits.Golomb();  // slice_type
  return bits.Bit() == 0 && !bits.overrun();
}

}  // namespace cosmos
