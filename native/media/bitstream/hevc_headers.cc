#include "media/bitstream/hevc_headers.h"

#include <algorithm>
#include <bit>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;
using References = std::vector<HevcReference>;

constexpr std::size_t kHeader = 2;  // bytes of a NAL unit's
constexpr std::uint32_t kMostReferences = 16;
constexpr std::uint32_t kMostSets = 64;
constexpr std::uint32_t kMostLong = 32;

BitReader Reader(Bytes unit) {
  return BitReader(unit.subspan(std::min(kHeader, unit.size())), BitReader::Escapes::kPrevention);
}

// How many bits name one of `count`.
int BitsFor(std::size_t count) { return count > 1 ? static_cast<int>(std::bit_width(count - 1)) : 0; }

void SkipProfile(BitReader& bits, int more_layers) {
  constexpr int kProfile = 88;
  constexpr int kLevel = 8;
  constexpr int kMostLayers = 8;
  bits.Skip(kProfile + kLevel);
  int skip = 0;
  for (int layer = 0; layer < more_layers; ++layer) {
    if (bits.Bit() != 0) skip += kProfile;
    if (bits.Bit() != 0) skip += kLevel;
  }
  if (more_layers > 0) bits.Skip(2 * (kMostLayers - more_layers));
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

// One that is written as what differs from another.
std::optional<References> ReadDifference(BitReader& bits, std::span<const References> sets, bool in_slice) {
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
    const std::int32_t order = (i < other.size() ? other[i].order : 0) + shift;
    if (kept && order != 0) set.push_back({order, used});
  }
  // The nearest first: those before the picture, then those after it.
  std::ranges::sort(set, {}, [](const HevcReference& reference) {
    return std::pair(reference.order > 0, std::abs(reference.order));
  });
  return set;
}

std::optional<References> ReadSet(BitReader& bits, std::span<const References> sets, bool in_slice) {
  if (!sets.empty() && bits.Bit() != 0) return ReadDifference(bits, sets, in_slice);
  const std::array counts = {bits.Golomb(), bits.Golomb()};
  if (bits.overrun() || std::ranges::max(counts) > kMostReferences) return std::nullopt;
  References set;
  for (const int sign : {-1, 1}) {
    std::int32_t order = 0;
    for (std::uint32_t i = 0; i < counts.at(sign < 0 ? 0 : 1); ++i) {
      order += sign * (static_cast<std::int32_t>(bits.Golomb() & 0xffff) + 1);
      set.push_back({order, bits.Bit() != 0});
    }
  }
  return set;
}

std::optional<HevcSequence> ReadSequence(Bytes unit) {
  BitReader bits = Reader(unit);
  bits.Skip(4);
  const auto more_layers = static_cast<int>(bits.Bits(3));
  bits.Skip(1);
  SkipProfile(bits, more_layers);
  HevcSequence sequence;
  sequence.number = bits.Golomb();
  constexpr std::uint32_t kAllChroma = 3;
  sequence.separate_planes = bits.Golomb() == kAllChroma && bits.Bit() != 0;
  bits.SkipGolombs(2);                       // width, height
  if (bits.Bit() != 0) bits.SkipGolombs(4);  // cropping
  bits.SkipGolombs(2);                       // bit depths
  sequence.order_bits = static_cast<int>(std::min<std::uint32_t>(bits.Golomb(), 12)) + 4;
  const int layers = bits.Bit() != 0 ? more_layers + 1 : 1;
  bits.SkipGolombs(3 * static_cast<std::uint32_t>(layers));
  bits.SkipGolombs(6);  // sizes and depths of blocks
  if (bits.Bit() != 0 && bits.Bit() != 0) SkipScalingLists(bits);
  bits.Skip(2);
  if (bits.Bit() != 0) {
    bits.Skip(8);
    bits.SkipGolombs(2);
    bits.Skip(1);
  }
  const std::uint32_t sets = bits.Golomb();
  if (bits.overrun() || sets > kMostSets) return std::nullopt;
  for (std::uint32_t i = 0; i < sets; ++i) {
    auto set = ReadSet(bits, sequence.sets, /*in_slice=*/false);
    if (!set) return std::nullopt;
    sequence.sets.push_back(*std::move(set));
  }
  sequence.has_long = bits.Bit() != 0;
  const std::uint32_t count = sequence.has_long ? bits.Golomb() : 0;
  if (count > kMostLong) return std::nullopt;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t low = bits.Bits(sequence.order_bits);
    sequence.long_sets.push_back({.low = low, .used = bits.Bit() != 0, .cycles = {}});
  }
  if (bits.overrun()) return std::nullopt;
  return sequence;
}

std::optional<HevcPicture> ReadPicture(Bytes unit) {
  BitReader bits = Reader(unit);
  HevcPicture picture;
  picture.number = bits.Golomb();
  picture.sequence = bits.Golomb();
  bits.Skip(1);  // slices that go on with the one before
  picture.output_flag_present = bits.Bit() != 0;
  picture.extra_bits = static_cast<int>(bits.Bits(3));
  if (bits.overrun()) return std::nullopt;
  return picture;
}

bool ReadLongReferences(BitReader& bits, const HevcSequence& sequence, HevcSlice& slice) {
  const std::uint32_t named = sequence.long_sets.empty() ? 0 : bits.Golomb();
  const std::uint32_t written = bits.Golomb();
  if (bits.overrun() || named > kMostLong || written > kMostLong) return false;
  std::uint32_t cycles = 0;
  for (std::uint32_t i = 0; i < named + written; ++i) {
    HevcLongReference reference;
    if (i < named) {
      const std::uint32_t set = bits.Bits(BitsFor(sequence.long_sets.size()));
      if (set >= sequence.long_sets.size()) return false;
      reference = sequence.long_sets[set];
    } else {
      reference.low = bits.Bits(sequence.order_bits);
      reference.used = bits.Bit() != 0;
    }
    // Each counts on from the one before, in either list.
    const bool has_cycles = bits.Bit() != 0;
    if (i == 0 || i == named) cycles = 0;
    if (has_cycles) cycles += bits.Golomb();
    if (has_cycles) reference.cycles = cycles;
    slice.long_references.push_back(reference);
  }
  return true;
}

}  // namespace

int HevcHeaders::ReadExtradata(Bytes extradata) {
  constexpr std::size_t kLength = 21;
  if (extradata.empty() || extradata[0] != 1) {
    ForEachStartCode(extradata, [&](Bytes unit) {
      Note(unit);
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
    at = ForEachSet(extradata, at, count, [&](Bytes unit) { Note(unit); });
  }
  return (extradata[kLength] & 3) + 1;
}

void HevcHeaders::Note(Bytes unit) {
  if (unit.size() <= kHeader) return;
  const bool is_first_layer = (unit[0] & 1) == 0 && unit[1] >> 3 == 0;
  const int type = unit[0] >> 1 & 0x3f;
  if (!is_first_layer) return;
  if (type == hevc::kSequenceSet) {
    auto set = ReadSequence(unit);
    if (set && set->number < kSequences) sequences_.at(set->number) = std::move(set);
  } else if (type == hevc::kPictureSet) {
    const auto set = ReadPicture(unit);
    if (set && set->number < kPictures) pictures_.at(set->number) = set;
  }
}

std::optional<HevcSlice> HevcHeaders::ReadSlice(Bytes unit) const {
  if (unit.size() <= kHeader) return std::nullopt;
  HevcSlice slice;
  slice.type = unit[0] >> 1 & 0x3f;
  slice.temporal_layer = (unit[1] & 7) - 1;
  BitReader bits = Reader(unit);
  if (bits.Bit() == 0) return std::nullopt;  // not the first of its picture
  if (slice.type >= hevc::kFirstAccess && slice.type <= hevc::kLastAccess) bits.Skip(1);
  const std::uint32_t number = bits.Golomb();
  if (number >= kPictures || !pictures_.at(number)) return std::nullopt;
  const HevcPicture& picture = *pictures_.at(number);
  if (picture.sequence >= kSequences || !sequences_.at(picture.sequence)) return std::nullopt;
  const HevcSequence& sequence = *sequences_.at(picture.sequence);
  slice.order_bits = sequence.order_bits;
  bits.Skip(picture.extra_bits);
  bits.Golomb();  // the type
  if (picture.output_flag_present) bits.Skip(1);
  if (sequence.separate_planes) bits.Skip(2);
  if (slice.type == hevc::kFirstIdr || slice.type == hevc::kLastIdr) {
    if (bits.overrun()) return std::nullopt;
    return slice;
  }
  slice.order_low = bits.Bits(sequence.order_bits);
  if (bits.Bit() == 0) {
    auto set = ReadSet(bits, sequence.sets, /*in_slice=*/true);
    if (!set) return std::nullopt;
    slice.references = *std::move(set);
  } else {
    const std::uint32_t set = bits.Bits(BitsFor(sequence.sets.size()));
    if (set >= sequence.sets.size()) return std::nullopt;
    slice.references = sequence.sets[set];
  }
  if (sequence.has_long && !ReadLongReferences(bits, sequence, slice)) return std::nullopt;
  if (bits.overrun()) return std::nullopt;
  return slice;
}

}  // namespace cosmos
