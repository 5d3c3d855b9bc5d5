#include "media/bitstream/loss_check.h"

#include <algorithm>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

}  // namespace

LossCheck::LossCheck(const AVCodecParameters& parameters, bool has_counters)
    : codec_(parameters.codec_id),
      has_counters_(has_counters && codec_ != AV_CODEC_ID_H264 && codec_ != AV_CODEC_ID_HEVC) {
  if (codec_ != AV_CODEC_ID_MPEG4) return;
  ForEachStartCode({parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)},
                   [&](Bytes code) {
                     if (code[0] >= mpeg4::kFirstLayer && code[0] <= mpeg4::kLastLayer)
                       layer_ = ReadMpeg4Layer(code).value_or(layer_);
                     return true;
                   });
}

void LossCheck::Add(const AVPacket& packet) {
  if (has_counters_) {
    // FFmpeg marks the packet that is followed by the gap. Its parsers emit a picture when the next packet
    // begins, and give it the mark of that one.
    constexpr int kAfter = 2;
    const bool corrupt = (packet.flags & AV_PKT_FLAG_CORRUPT) != 0;
    if (!corrupt && place_ == last_corrupt_ + kAfter && (packet.flags & AV_PKT_FLAG_KEY) == 0)
      after_corrupt_.push_back(place_);
    if (corrupt) last_corrupt_ = place_;
  }
  const Bytes data(packet.data, static_cast<std::size_t>(std::max(packet.size, 0)));
  if (codec_ == AV_CODEC_ID_MPEG1VIDEO || codec_ == AV_CODEC_ID_MPEG2VIDEO) AddMpeg2(data);
  if (codec_ == AV_CODEC_ID_MPEG4) AddMpeg4(data);
  ++place_;
}

void LossCheck::AddMpeg2(Bytes packet) {
  constexpr std::uint8_t kPicture = 0x00;
  constexpr std::uint8_t kGroup = 0xb8;
  constexpr std::int64_t kTurn = 1024;  // of temporal_reference
  constexpr int kPredicted = 2;
  constexpr int kBidirectional = 3;
  bool begins_group = false;
  ForEachStartCode(packet, [&](Bytes code) {
    begins_group = begins_group || code[0] == kGroup;
    if (code[0] != kPicture) return true;
    if (code.size() < 3) return false;
    const std::int64_t low = code[1] << 2 | code[2] >> 6;
    const int type = code[2] >> 3 & 7;
    std::int64_t number = low;
    if (reference_ && !begins_group) {
      const std::int64_t distance = (low - reference_->number % kTurn + kTurn) % kTurn;
      number = reference_->number + (distance < kTurn / 2 ? distance : distance - kTurn);
    }
    if (type == kBidirectional) {
      AddBidirectional(number);
      return false;
    }
    // The second field of the same picture.
    if (reference_ && !begins_group && number == reference_->number && between_ == 0) return false;
    const bool follows = reference_ && !begins_group && number > reference_->number;
    // Numbers begin at 0 in a group, and at a keyframe that does not follow.
    AddReference({place_, follows ? number : low, type == kPredicted}, follows);
    return false;
  });
}

void LossCheck::AddMpeg4(Bytes packet) {
  ForEachStartCode(packet, [&](Bytes code) {
    if (code[0] >= mpeg4::kFirstLayer && code[0] <= mpeg4::kLastLayer)
      layer_ = ReadMpeg4Layer(code).value_or(layer_);
    if (code[0] == mpeg4::kGroup && code.size() > 3) {
      // time_code: hours (5 bits), minutes (6), a marker, seconds (6).
      const std::int64_t hours = code[1] >> 3;
      const std::int64_t minutes = (code[1] & 7) << 3 | code[2] >> 5;
      const std::int64_t seconds = (code[2] & 15) << 2 | code[3] >> 6;
      second_ = (hours * 60 + minutes) * 60 + seconds;
    }
    if (code[0] != mpeg4::kPicture || layer_.resolution == 0) return true;
    const Mpeg4Picture picture = ReadMpeg4Picture(code, layer_.time_bits);
    const bool bidirectional = picture.type == Mpeg4Type::kB;
    const std::int64_t second = (bidirectional ? earlier_second_ : second_) + picture.seconds;
    const std::int64_t number = second * layer_.resolution + picture.increment;
    if (bidirectional) {
      AddBidirectional(number);
      return false;
    }
    earlier_second_ = second_;
    second_ = second;
    const bool predicted = picture.type != Mpeg4Type::kI;
    // One that repeats the last picture without having data may have its time, too.
    if (!picture.coded && reference_ && number == reference_->number) return false;
    // An encoder may restart its clock at a keyframe. Before a predicted picture, seconds can be missing.
    const bool follows = reference_ && (predicted || number > reference_->number);
    AddReference({place_, number, predicted}, follows);
    return false;
  });
}

void LossCheck::AddReference(Reference reference, bool follows) {
  if (const auto gap = FindGap()) gaps_.push_back(*gap);
  if (const std::int64_t distance = Distance(); distance > 0 && distance <= between_ + 1) {
    least_distance_ = least_distance_ == 0 ? distance : std::min(least_distance_, distance);
    most_distance_ = std::max(most_distance_, distance);
  }
  if (reference.predicted) ++inter_pictures_;
  const bool backwards = reference_ && reference.number <= reference_->number;
  if (reference.predicted && (!follows || backwards)) misplaced_.push_back(place_);
  earlier_reference_ = follows && !backwards ? reference_ : std::nullopt;
  reference_ = reference;
  between_ = 0;
}

// B pictures before the first two references, and those of an open GOP, are not checked: their numbers begin
// anew with the group.
void LossCheck::AddBidirectional(std::int64_t number) {
  ++inter_pictures_;
  ++between_;
  has_bidirectional_ = true;
  if (!reference_) return;
  const bool fits =
      number < reference_->number && (!earlier_reference_ || number > earlier_reference_->number);
  if (!fits) misplaced_.push_back(place_);
}

// How many pictures the last reference is after the one before it, or 0 where they cannot be counted.
std::int64_t LossCheck::Distance() const {
  if (!reference_ || !earlier_reference_) return 0;
  const std::int64_t distance = reference_->number - earlier_reference_->number;
  if (codec_ != AV_CODEC_ID_MPEG4) return distance;
  return layer_.fixed_increment > 0 ? distance / layer_.fixed_increment : 0;
}

// Compares the B pictures since the last reference with its distance from the one before it.
std::optional<LossCheck::Gap> LossCheck::FindGap() const {
  if (Distance() <= between_ + 1 || !reference_->predicted) return {};
  return Gap{reference_->place, Distance()};
}

std::vector<int> LossCheck::Losses() const {
  // Numbers that do not fit so often are no numbers of pictures.
  constexpr std::size_t kPlausible = 4;
  std::vector<int> losses = after_corrupt_;
  if ((misplaced_.size() + gaps_.size()) * kPlausible <= static_cast<std::size_t>(inter_pictures_)) {
    losses.insert(losses.end(), misplaced_.begin(), misplaced_.end());
    for (const Gap& gap : gaps_) {
      // Where references are always this far apart, a B picture is missing between them.
      const bool regular = has_bidirectional_ && least_distance_ == most_distance_;
      if (!regular || gap.distance != most_distance_) losses.push_back(gap.place);
    }
    // The last reference of a stream that has B pictures may be followed by more of them.
    const auto last = FindGap();
    if (last && !has_bidirectional_) losses.push_back(last->place);
  }
  std::ranges::sort(losses);
  losses.erase(std::unique(losses.begin(), losses.end()), losses.end());
  std::erase_if(losses, [](int place) { return place < 0; });
  return losses;
}

void LossCheck::Forget(int count) {
  place_ -= count;
  last_corrupt_ -= count;
  for (int& place : after_corrupt_) place -= count;
  for (int& place : misplaced_) place -= count;
  for (Gap& gap : gaps_) gap.place -= count;
  if (reference_) reference_->place -= count;
  if (earlier_reference_) earlier_reference_->place -= count;
}

}  // namespace cosmos
