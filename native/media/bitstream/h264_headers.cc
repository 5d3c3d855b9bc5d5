#include "media/bitstream/h264_headers.h"

#include <algorithm>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

// No profile allows more references.
constexpr std::uint32_t kMaxReferences = 32;

BitReader Reader(Bytes bytes) { return BitReader(bytes, BitReader::Escapes::kPrevention); }

// Whether an SPS of this profile contains chroma_format_idc and the fields after it.
bool HasChromaFormat(std::uint32_t profile) {
  constexpr std::array kProfiles = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
  return std::ranges::find(kProfiles, static_cast<int>(profile)) != kProfiles.end();
}

void SkipScalingLists(BitReader& bits, int lists) {
  constexpr int kSmall = 6;  // the first lists are 4 x 4, the rest 8 x 8
  for (int list = 0; list < lists && !bits.overrun(); ++list) {
    if (bits.Bit() == 0) continue;
    // Signed deltas modulo 256; at zero the rest of the list repeats and is not coded.
    std::uint32_t next = 8;
    for (int i = 0; i < (list < kSmall ? 16 : 64) && next != 0 && !bits.overrun(); ++i) {
      const std::uint32_t code = bits.Golomb();
      next = (next + (code % 2 != 0 ? code / 2 + 1 : 0 - code / 2)) & 255;
    }
  }
}

void SkipHrd(BitReader& bits) {
  constexpr std::uint32_t kMaxBuffers = 32;
  const std::uint32_t buffers = std::min(bits.Golomb() + 1, kMaxBuffers);
  bits.Skip(8);
  for (std::uint32_t i = 0; i < buffers && !bits.overrun(); ++i) {
    bits.SkipGolombs(2);
    bits.Skip(1);
  }
  bits.Skip(20);
}

// Reads the usability information. Returns max_num_reorder_frames, or nothing when it is not stated.
std::optional<std::uint32_t> ReadUsability(BitReader& bits, H264Sps& sps) {
  constexpr std::uint32_t kExtendedRatio = 255;
  if (bits.Bit() == 0) return std::nullopt;
  if (bits.Bit() != 0 && bits.Bits(8) == kExtendedRatio) bits.Skip(32);
  if (bits.Bit() != 0) bits.Skip(1);  // overscan
  sps.states_range = bits.Bit() != 0;
  if (sps.states_range) {
    bits.Skip(4);
    sps.states_colours = bits.Bit() != 0;
    if (sps.states_colours) bits.Skip(24);
  }
  if (bits.Bit() != 0) bits.SkipGolombs(2);  // location of chroma
  if (bits.Bit() != 0) bits.Skip(65);        // timing
  const bool nal = bits.Bit() != 0;
  if (nal) SkipHrd(bits);
  const bool vcl = bits.Bit() != 0;
  if (vcl) SkipHrd(bits);
  if (nal || vcl) bits.Skip(1);
  bits.Skip(1);
  if (bits.Bit() == 0) return std::nullopt;
  bits.Skip(1);
  bits.SkipGolombs(4);
  const std::uint32_t reordered = bits.Golomb();
  bits.Golomb();  // max_dec_frame_buffering
  if (bits.overrun()) return std::nullopt;
  return reordered;
}

std::optional<H264Pps> ReadPps(Bytes set) {
  BitReader bits = Reader(set);
  H264Pps pps;
  pps.id = bits.Golomb();
  pps.sps_id = bits.Golomb();
  bits.Skip(1);  // entropy_coding_mode_flag
  pps.bottom_poc_present = bits.Bit() != 0;
  // Slice groups (FMO) are not supported: hardly any decoder supports that profile.
  if (bits.Golomb() != 0) return std::nullopt;
  for (std::uint32_t& references : pps.references) references = bits.Golomb() + 1;
  pps.weighted_pred = bits.Bit() != 0;
  pps.weighted_bipred_idc = bits.Bits(2);
  bits.SkipGolombs(3);  // quantiser parameters
  bits.Skip(2);         // deblocking, constrained intra prediction
  pps.redundant_pic_cnt_present = bits.Bit() != 0;
  if (bits.overrun()) return std::nullopt;
  return pps;
}

// Skips ref_pic_list_modification.
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

// Whether dec_ref_pic_marking contains operation 5, which drops all reference pictures.
bool HasMmco5(BitReader& bits) {
  constexpr std::uint32_t kTwoNumbers = 3;
  constexpr std::uint32_t kMmco5 = 5;
  if (bits.Bit() == 0) return false;
  bool drops = false;
  for (std::uint32_t operation = bits.Golomb(); operation != 0 && !bits.overrun();
       operation = bits.Golomb()) {
    drops = drops || operation == kMmco5;
    if (operation != kMmco5) bits.SkipGolombs(operation == kTwoNumbers ? 2 : 1);
  }
  return drops && !bits.overrun();
}

}  // namespace

std::optional<H264Sps> ReadH264Sps(Bytes set) {
  constexpr std::uint32_t kMaxChroma = 3;
  constexpr std::uint32_t kMaxExtraBits = 24;  // beyond 8 of a sample, above what any profile allows
  BitReader bits = Reader(set);
  const std::uint32_t profile = bits.Bits(8);
  bits.Skip(16);  // constraint flags, level
  H264Sps sps;
  sps.id = bits.Golomb();
  if (HasChromaFormat(profile)) {
    sps.chroma = static_cast<int>(std::min(bits.Golomb(), kMaxChroma + 1));
    sps.separate_colour_planes = sps.chroma == 3 && bits.Bit() != 0;
    sps.bit_depth = 8 + static_cast<int>(std::min(bits.Golomb(), kMaxExtraBits));
    bits.Golomb();  // bit_depth_chroma
    bits.Skip(1);
    if (bits.Bit() != 0) SkipScalingLists(bits, sps.chroma == 3 ? 12 : 8);
  }
  constexpr std::uint32_t kMaxBits = 16;
  constexpr std::uint32_t kMaxCycle = 255;
  constexpr std::uint32_t kMaxSide = 1 << 16;  // in macroblocks, above what any level allows
  const std::uint32_t frame_num_bits = bits.Golomb() + 4;
  sps.poc_type = bits.Golomb();
  std::uint32_t poc_lsb_bits = 4;
  if (sps.poc_type == 0) poc_lsb_bits = bits.Golomb() + 4;
  if (sps.poc_type == 1) {
    sps.delta_poc_always_zero = bits.Bit() != 0;
    bits.SkipGolombs(2);
    const std::uint32_t cycle = bits.Golomb();
    // A set with start codes reaches to the end of its packet, so that many such sets would take the square
    // of its size.
    if (cycle > kMaxCycle) return std::nullopt;
    bits.SkipGolombs(cycle);
  }
  const std::uint32_t references = std::min(bits.Golomb(), kMaxReferences);
  sps.frame_num_gaps_allowed = bits.Bit() != 0;
  const std::uint32_t width = std::min(bits.Golomb(), kMaxSide) + 1;
  const std::uint32_t height = std::min(bits.Golomb(), kMaxSide) + 1;
  sps.frames_only = bits.Bit() != 0;
  if (bits.overrun() || sps.chroma > static_cast<int>(kMaxChroma) || frame_num_bits > kMaxBits ||
      poc_lsb_bits > kMaxBits) {
    return std::nullopt;
  }
  sps.frame_num_bits = static_cast<int>(frame_num_bits);
  sps.poc_lsb_bits = static_cast<int>(poc_lsb_bits);
  constexpr std::int64_t kMacroblock = 256;  // pixels
  sps.pixels = std::int64_t{width} * height * (sps.frames_only ? 1 : 2) * kMacroblock;
  sps.references = static_cast<int>(references);
  if (!sps.frames_only) bits.Skip(1);
  bits.Skip(1);
  if (bits.Bit() != 0) bits.SkipGolombs(4);  // cropping
  const auto reordered = ReadUsability(bits, sps);
  if (reordered && *reordered < static_cast<std::uint32_t>(sps.reordered)) {
    sps.reordered = static_cast<int>(*reordered);
  }
  return sps;
}

std::int64_t H264Sps::PictureBytes() const {
  // Samples per four pixels, by kind of chroma, and two more bytes for motion vectors and types of blocks.
  constexpr std::array<std::int64_t, 4> kSamples = {4, 6, 8, 12};
  const std::int64_t four = kSamples.at(static_cast<std::size_t>(chroma)) * (bit_depth > 8 ? 2 : 1) + 2;
  return pixels * four / 4;
}

int H264Sps::KeptPictures() const {
  constexpr int kUnderWay = 2;
  return references + reordered + kUnderWay;
}

int H264Headers::ReadExtradata(Bytes extradata) {
  constexpr std::size_t kLength = 4;
  constexpr std::size_t kFirst = 5;
  if (extradata.empty() || extradata[0] != 1) {
    ForEachStartCode(extradata, [&](Bytes unit) {
      Observe(unit);
      return true;
    });
    return 0;
  }
  if (extradata.size() <= kLength) return 0;
  std::size_t at = kFirst;
  for (const int mask : {0x1f, 0xff}) {
    if (at >= extradata.size()) break;
    const int count = extradata[at++] & mask;
    at = ForEachSet(extradata, at, count, [&](Bytes unit) { Observe(unit); });
  }
  return (extradata[kLength] & 3) + 1;
}

void H264Headers::Observe(Bytes unit) {
  const int type = unit.empty() ? 0 : unit[0] & 0x1f;
  if (type == h264::kSps) {
    const auto set = ReadH264Sps(unit.subspan(1));
    if (!set || set->id >= kMaxSps) return;
    sps_.at(set->id) = set;
    picture_bytes_ = std::max(picture_bytes_, set->PictureBytes());
    kept_pictures_ = std::max(kept_pictures_, set->KeptPictures());
  } else if (type == h264::kPps) {
    const auto set = ReadPps(unit.subspan(1));
    if (set && set->id < kMaxPps) pps_.at(set->id) = set;
  }
}

const H264Pps* H264Headers::Pps(std::uint32_t id) const {
  if (id >= kMaxPps || !pps_.at(id)) return nullptr;
  return &*pps_.at(id);
}

const H264Sps* H264Headers::Sps(std::uint32_t id) const {
  if (id >= kMaxSps || !sps_.at(id)) return nullptr;
  return &*sps_.at(id);
}

std::optional<H264Slice> H264Headers::ReadSlice(Bytes unit) const {
  if (unit.empty()) return std::nullopt;
  H264Slice slice{.idr = (unit[0] & 0x1f) == h264::kIdrSlice, .reference = (unit[0] & 0x60) != 0};
  BitReader bits = Reader(unit.subspan(1));
  bits.Golomb();  // first_mb_in_slice
  const std::uint32_t type = bits.Golomb() % 5;
  const bool is_b = type == 1;
  slice.intra = type == 2 || type == 4;  // I and SI
  const H264Pps* pps = Pps(bits.Golomb());
  const H264Sps* sps = pps ? Sps(pps->sps_id) : nullptr;
  if (!sps) return std::nullopt;
  if (sps->separate_colour_planes) bits.Skip(2);
  slice.frame_num = bits.Bits(sps->frame_num_bits);
  slice.max_frame_num = std::uint32_t{1} << sps->frame_num_bits;
  slice.frame_num_gaps_allowed = sps->frame_num_gaps_allowed;
  const bool is_field = !sps->frames_only && bits.Bit() != 0;
  if (is_field) bits.Skip(1);
  if (slice.idr) bits.Golomb();
  const bool both = pps->bottom_poc_present && !is_field;
  if (sps->poc_type == 0) {
    bits.Skip(sps->poc_lsb_bits);
    if (both) bits.Golomb();
  } else if (sps->poc_type == 1 && !sps->delta_poc_always_zero) {
    bits.SkipGolombs(both ? 2 : 1);
  }
  if (bits.overrun()) return std::nullopt;
  // The rest only tells whether there is an operation 5, which neither IDR nor non-reference pictures have.
  if (slice.idr || !slice.reference) return slice;
  if (pps->redundant_pic_cnt_present) bits.Golomb();
  if (is_b) bits.Skip(1);
  std::array<std::uint32_t, 2> references = pps->references;
  const std::size_t lists = slice.intra ? 0 : is_b ? 2 : 1;
  if (lists > 0 && bits.Bit() != 0) {
    for (std::size_t list = 0; list < lists; ++list) references.at(list) = bits.Golomb() + 1;
  }
  if (std::ranges::max(references) > kMaxReferences) return std::nullopt;
  for (std::size_t list = 0; list < lists; ++list) SkipListChanges(bits);
  if (is_b ? pps->weighted_bipred_idc == 1 : lists > 0 && pps->weighted_pred) {
    SkipWeights(bits, std::span(references).first(lists), sps->chroma != 0 && !sps->separate_colour_planes);
  }
  slice.has_mmco5 = HasMmco5(bits);
  return slice;
}

}  // namespace cosmos
