#include "media/bitstream/av1_headers.h"

namespace cosmos {
namespace {

constexpr std::uint8_t kAllSlots = 0xff;

enum class FrameType : std::uint8_t { kKey, kInter, kIntraOnly, kSwitch };

// uvlc(): leading zeros, a one, and as many bits.
void SkipUvlc(BitReader& bits) {
  int zeros = 0;
  while (!bits.overrun() && bits.Bit() == 0) ++zeros;
  if (zeros < 32) bits.Skip(zeros);
}

}  // namespace

void Av1Headers::ReadSequence(const Av1Obu& obu) {
  BitReader bits(obu.payload);
  has_sequence_ = false;
  has_decoder_model_ = equal_intervals_ = false;
  frame_id_bits_ = order_hint_bits_ = 0;
  screen_content_ = integer_motion_ = Choice::kPerPicture;
  bits.Skip(4);  // seq_profile, still_picture
  reduced_ = bits.Bit() != 0;
  if (reduced_) {
    bits.Skip(5);  // seq_level_idx
    operating_points_ = 1;
    points_[0] = {};
  } else {
    ReadOperatingPoints(bits);
  }
  const int width_bits = static_cast<int>(bits.Bits(4)) + 1;
  const int height_bits = static_cast<int>(bits.Bits(4)) + 1;
  bits.Skip(width_bits + height_bits);
  if (!reduced_ && bits.Bit() != 0) {
    delta_frame_id_bits_ = static_cast<int>(bits.Bits(4)) + 2;
    frame_id_bits_ = delta_frame_id_bits_ + static_cast<int>(bits.Bits(3)) + 1;
  }
  bits.Skip(3);  // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
  if (!reduced_) ReadTools(bits);
  has_sequence_ = !bits.overrun();
}

void Av1Headers::ReadOperatingPoints(BitReader& bits) {
  if (bits.Bit() != 0) {
    bits.Skip(64);  // num_units_in_display_tick, time_scale
    equal_intervals_ = bits.Bit() != 0;
    if (equal_intervals_) SkipUvlc(bits);
    has_decoder_model_ = bits.Bit() != 0;
    if (has_decoder_model_) {
      delay_bits_ = static_cast<int>(bits.Bits(5)) + 1;
      bits.Skip(32);  // num_units_in_decoding_tick
      removal_time_bits_ = static_cast<int>(bits.Bits(5)) + 1;
      presentation_time_bits_ = static_cast<int>(bits.Bits(5)) + 1;
    }
  }
  const bool has_display_delay = bits.Bit() != 0;
  operating_points_ = static_cast<int>(bits.Bits(5)) + 1;
  for (int i = 0; i < operating_points_; ++i) {
    constexpr unsigned kLastLevelWithoutTier = 7;
    OperatingPoint& point = points_[i];
    point.layers = bits.Bits(12);
    if (bits.Bits(5) > kLastLevelWithoutTier) bits.Skip(1);  // seq_tier
    point.has_decoder_model = has_decoder_model_ && bits.Bit() != 0;
    if (point.has_decoder_model) bits.Skip(2 * delay_bits_ + 1);
    if (has_display_delay && bits.Bit() != 0) bits.Skip(4);
  }
}

void Av1Headers::ReadTools(BitReader& bits) {
  bits.Skip(4);  // interintra and masked compound, warped motion, dual filter
  const bool has_order_hints = bits.Bit() != 0;
  if (has_order_hints) bits.Skip(2);  // enable_jnt_comp, enable_ref_frame_mvs
  const auto choice = [&] {
    if (bits.Bit() != 0) return Choice::kPerPicture;
    return bits.Bit() != 0 ? Choice::kAlways : Choice::kNever;
  };
  screen_content_ = choice();
  integer_motion_ = screen_content_ == Choice::kNever ? Choice::kPerPicture : choice();
  if (has_order_hints) order_hint_bits_ = static_cast<int>(bits.Bits(3)) + 1;
}

std::optional<Av1Picture> Av1Headers::ReadPicture(const Av1Obu& obu) {
  if (!has_sequence_) return std::nullopt;
  BitReader bits(obu.payload);
  Av1Picture picture;
  if (reduced_) {
    slot_has_key_.fill(true);
    return Av1Picture{.shown = true, .refreshes = kAllSlots};
  }
  if (bits.Bit() != 0) {
    picture = ReadExisting(bits);
    return bits.overrun() ? std::nullopt : std::optional(picture);
  }
  const auto type = static_cast<FrameType>(bits.Bits(2));
  const bool intra = type == FrameType::kKey || type == FrameType::kIntraOnly;
  picture.shown = bits.Bit() != 0;
  if (picture.shown && has_decoder_model_ && !equal_intervals_) bits.Skip(presentation_time_bits_);
  if (!picture.shown) bits.Skip(1);  // showable_frame
  const bool begins = type == FrameType::kKey && picture.shown;
  const bool resilient = type == FrameType::kSwitch || begins || bits.Bit() != 0;
  bits.Skip(1);  // disable_cdf_update
  const bool screen_content =
      screen_content_ == Choice::kPerPicture ? bits.Bit() != 0 : screen_content_ == Choice::kAlways;
  if (screen_content && integer_motion_ == Choice::kPerPicture) bits.Skip(1);
  bits.Skip(frame_id_bits_);
  if (type != FrameType::kSwitch) bits.Skip(1);  // frame_size_override_flag
  bits.Skip(order_hint_bits_);
  if (!intra && !resilient) bits.Skip(3);  // primary_ref_frame, which is one of those below
  if (has_decoder_model_) SkipRemovalTimes(bits, obu);
  picture.refreshes =
      type == FrameType::kSwitch || begins ? kAllSlots : static_cast<std::uint8_t>(bits.Bits(av1::kSlots));
  if ((!intra || picture.refreshes != kAllSlots) && resilient && order_hint_bits_ > 0) {
    // The order hints of all slots, for decoders that lost a picture: they must not notice a loss.
    bits.Skip(av1::kSlots * order_hint_bits_);
    picture.uses = kAllSlots;
  }
  if (!intra) {
    constexpr int kReferences = 7;
    const bool implied = order_hint_bits_ > 0 && bits.Bit() != 0;  // frame_refs_short_signaling
    if (implied) picture.uses = kAllSlots;
    for (int i = 0; i < kReferences && !implied; ++i) {
      picture.uses |= static_cast<std::uint8_t>(1U << bits.Bits(3));
      if (frame_id_bits_ > 0) bits.Skip(delta_frame_id_bits_);
    }
  }
  if (bits.overrun()) return std::nullopt;
  for (int slot = 0; slot < av1::kSlots; ++slot) {
    if ((picture.refreshes >> slot & 1) != 0) slot_has_key_[slot] = type == FrameType::kKey;
  }
  return picture;
}

// A key frame that is shown later than it was decoded then takes all slots.
Av1Picture Av1Headers::ReadExisting(BitReader& bits) {
  const unsigned slot = bits.Bits(3);
  Av1Picture picture{.shown = true, .shows_existing = true, .uses = static_cast<std::uint8_t>(1U << slot)};
  if (!slot_has_key_[slot]) return picture;
  picture.refreshes = kAllSlots;
  slot_has_key_.fill(true);
  return picture;
}

// buffer_removal_time of the operating points that the picture is part of.
void Av1Headers::SkipRemovalTimes(BitReader& bits, const Av1Obu& obu) const {
  constexpr int kSpatial = 8;  // the first bit of the spatial layers
  if (bits.Bit() == 0) return;
  for (int i = 0; i < operating_points_; ++i) {
    const unsigned layers = points_[i].layers;
    const bool is_part = layers == 0 || ((layers >> obu.temporal_layer & 1) != 0 &&
                                         (layers >> (obu.spatial_layer + kSpatial) & 1) != 0);
    if (points_[i].has_decoder_model && is_part) bits.Skip(removal_time_bits_);
  }
}

}  // namespace cosmos
