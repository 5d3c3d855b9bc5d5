#include "media/bitstream/h264_headers.h"

#include <algorithm>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

// More than any profile allows of pictures that a slice refers to.
constexpr std::uint32_t kMostReferences = 32;

BitReader Reader(Bytes bytes) { return BitReader(bytes, BitReader::Escapes::kPrevention); }

// Whether a sequence parameter set of this profile says how pictures are sampled.
bool ProfileSays(std::uint32_t profile) {
  constexpr std::array kProfilesThatSay = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
  return std::ranges::find(kProfilesThatSay, static_cast<int>(profile)) != kProfilesThatSay.end();
}

void SkipScalingLists(BitReader& bits, int lists) {
  constexpr int kSmall = 6;  // the first ones are of 4 x 4, the rest of 8 x 8
  for (int list = 0; list < lists && !bits.overrun(); ++list) {
    if (bits.Bit() == 0) continue;
    // Signed steps modulo 256: at zero the rest repeats and is not written.
    int next = 8;
    for (int i = 0; i < (list < kSmall ? 16 : 64) && next != 0 && !bits.overrun(); ++i) {
      const auto code = static_cast<int>(bits.Golomb());
      next = (next + (code % 2 != 0 ? (code + 1) / 2 : -code / 2)) & 255;
    }
  }
}

std::optional<H264Picture> ReadPicture(Bytes set) {
  BitReader bits = Reader(set);
  H264Picture picture;
  picture.number = bits.Golomb();
  picture.sequence = bits.Golomb();
  bits.Skip(1);  // the entropy coder
  picture.bottom_order_present = bits.Bit() != 0;
  // Slices in groups are of a profile that hardly anybody decodes: left unread.
  if (bits.Golomb() != 0) return std::nullopt;
  for (std::uint32_t& references : picture.references) references = bits.Golomb() + 1;
  picture.weights_p = bits.Bit() != 0;
  picture.weights_b = bits.Bits(2);
  bits.SkipGolombs(3);  // quantisers
  bits.Skip(2);         // deblocking, constrained prediction
  picture.redundant_number_present = bits.Bit() != 0;
  if (bits.overrun()) return std::nullopt;
  return picture;
}

// The order in which a list of references is changed.
void SkipListChanges(BitReader& bits) {
  constexpr std::uint32_t kEnd = 3;
  if (bits.Bit() == 0) return;
  while (!bits.overrun() && bits.Golomb() != kEnd) bits.Golomb();
}

void SkipWeights(BitReader& bits, std::span<const std::uint32_t> references, bool has_chroma) {
  bits.SkipGolombs(has_chroma ? 2 : 1);
  for (const std::uint32_t count : references) {
    for (std::uint32_t i = 0; i < count && !bits.overrun(); ++i) {
      if (bits.Bit() != 0) bits.SkipGolombs(2);
      if (has_chroma && bits.Bit() != 0) bits.SkipGolombs(4);
    }
  }
}

// Whether a reference picture's own wishes for those before it end in all of them being dropped.
bool DropsAll(BitReader& bits) {
  constexpr std::uint32_t kTwoNumbers = 3;
  constexpr std::uint32_t kDropAll = 5;
  if (bits.Bit() == 0) return false;
  bool drops = false;
  for (std::uint32_t wish = bits.Golomb(); wish != 0 && !bits.overrun(); wish = bits.Golomb()) {
    drops = drops || wish == kDropAll;
    if (wish != kDropAll) bits.SkipGolombs(wish == kTwoNumbers ? 2 : 1);
  }
  return drops && !bits.overrun();
}

}  // namespace

std::optional<H264Sequence> ReadH264Sequence(Bytes set) {
  BitReader bits = Reader(set);
  const std::uint32_t profile = bits.Bits(8);
  bits.Skip(16);  // constraints, level
  H264Sequence sequence;
  sequence.number = bits.Golomb();
  if (ProfileSays(profile)) {
    sequence.chroma = static_cast<int>(bits.Golomb());
    sequence.separate_planes = sequence.chroma == 3 && bits.Bit() != 0;
    sequence.bit_depth = 8 + static_cast<int>(bits.Golomb());
    bits.Golomb();  // depth of chroma
    bits.Skip(1);
    if (bits.Bit() != 0) SkipScalingLists(bits, sequence.chroma == 3 ? 12 : 8);
  }
  constexpr std::uint32_t kMostBits = 16;
  const std::uint32_t frame_number_bits = bits.Golomb() + 4;
  sequence.order_type = bits.Golomb();
  std::uint32_t order_bits = 4;
  if (sequence.order_type == 0) order_bits = bits.Golomb() + 4;
  if (sequence.order_type == 1) {
    sequence.order_is_regular = bits.Bit() != 0;
    bits.SkipGolombs(2);
    bits.SkipGolombs(bits.Golomb());
  }
  bits.Golomb();  // reference frames
  sequence.gaps_allowed = bits.Bit() != 0;
  bits.SkipGolombs(2);  // width, height
  sequence.frames_only = bits.Bit() != 0;
  if (bits.overrun() || sequence.chroma > 3 || frame_number_bits > kMostBits || order_bits > kMostBits) {
    return std::nullopt;
  }
  sequence.frame_number_bits = static_cast<int>(frame_number_bits);
  sequence.order_bits = static_cast<int>(order_bits);
  return sequence;
}

int H264Headers::ReadExtradata(Bytes extradata) {
  constexpr std::size_t kLength = 4;
  constexpr std::size_t kFirst = 5;
  if (extradata.empty() || extradata[0] != 1) {
    ForEachStartCode(extradata, [&](Bytes unit) {
      Note(unit);
      return true;
    });
    return 0;
  }
  if (extradata.size() <= kLength) return 0;
  std::size_t at = kFirst;
  for (const int mask : {0x1f, 0xff}) {
    if (at >= extradata.size()) break;
    const int count = extradata[at++] & mask;
    at = ForEachSet(extradata, at, count, [&](Bytes unit) { Note(unit); });
  }
  return (extradata[kLength] & 3) + 1;
}

void H264Headers::Note(Bytes unit) {
  const int type = unit.empty() ? 0 : unit[0] & 0x1f;
  if (type == h264::kSequenceSet) {
    const auto set = ReadH264Sequence(unit.subspan(1));
    if (set && set->number < kSequences) sequences_.at(set->number) = set;
  } else if (type == h264::kPictureSet) {
    const auto set = ReadPicture(unit.subspan(1));
    if (set && set->number < kPictures) pictures_.at(set->number) = set;
  }
}

const H264Picture* H264Headers::Picture(std::uint32_t number) const {
  if (number >= kPictures || !pictures_.at(number)) return nullptr;
  return &*pictures_.at(number);
}

const H264Sequence* H264Headers::Sequence(std::uint32_t number) const {
  if (number >= kSequences || !sequences_.at(number)) return nullptr;
  return &*sequences_.at(number);
}

std::optional<H264Slice> H264Headers::ReadSlice(Bytes unit) const {
  if (unit.empty()) return std::nullopt;
  H264Slice slice{.idr = (unit[0] & 0x1f) == h264::kIdrSlice, .reference = (unit[0] & 0x60) != 0};
  BitReader bits = Reader(unit.subspan(1));
  bits.Golomb();  // the first macroblock
  const std::uint32_t type = bits.Golomb() % 5;
  const bool is_b = type == 1;
  slice.intra = type == 2 || type == 4;  // I and SI
  const H264Picture* picture = Picture(bits.Golomb());
  const H264Sequence* sequence = picture ? Sequence(picture->sequence) : nullptr;
  if (!sequence) return std::nullopt;
  if (sequence->separate_planes) bits.Skip(2);
  slice.frame_number = bits.Bits(sequence->frame_number_bits);
  slice.frame_numbers = std::uint32_t{1} << sequence->frame_number_bits;
  slice.gaps_allowed = sequence->gaps_allowed;
  const bool is_field = !sequence->frames_only && bits.Bit() != 0;
  if (is_field) bits.Skip(1);
  if (slice.idr) bits.Golomb();
  const bool both = picture->bottom_order_present && !is_field;
  if (sequence->order_type == 0) {
    bits.Skip(sequence->order_bits);
    if (both) bits.Golomb();
  } else if (sequence->order_type == 1 && !sequence->order_is_regular) {
    bits.SkipGolombs(both ? 2 : 1);
  }
  if (bits.overrun()) return std::nullopt;
  // What is left says only whether it resets, which neither IDR pictures nor those that none refers to do.
  if (slice.idr || !slice.reference) return slice;
  if (picture->redundant_number_present) bits.Golomb();
  if (is_b) bits.Skip(1);
  std::array<std::uint32_t, 2> references = picture->references;
  const std::size_t lists = slice.intra ? 0 : is_b ? 2 : 1;
  if (lists > 0 && bits.Bit() != 0) {
    for (std::size_t list = 0; list < lists; ++list) references.at(list) = bits.Golomb() + 1;
  }
  if (std::ranges::max(references) > kMostReferences) return std::nullopt;
  for (std::size_t list = 0; list < lists; ++list) SkipListChanges(bits);
  if (is_b ? picture->weights_b == 1 : lists > 0 && picture->weights_p) {
    SkipWeights(bits, std::span(references).first(lists),
                sequence->chroma != 0 && !sequence->separate_planes);
  }
  slice.resets = DropsAll(bits);
  return slice;
}

}  // namespace cosmos
