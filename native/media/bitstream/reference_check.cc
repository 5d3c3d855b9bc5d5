#include "media/bitstream/reference_check.h"

#include <algorithm>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

}  // namespace

ReferenceCheck::ReferenceCheck(const AVCodecParameters& parameters) : codec_(parameters.codec_id) {
  Configure({parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)});
}

void ReferenceCheck::Configure(Bytes extradata) {
  if (codec_ == AV_CODEC_ID_H264) length_bytes_ = h264_.ReadExtradata(extradata);
  if (codec_ == AV_CODEC_ID_HEVC) length_bytes_ = hevc_.ReadExtradata(extradata);
}

void ReferenceCheck::Reset() {
  frame_number_.reset();
  begins_ = true;
  skips_leading_ = false;
  anchor_ = 0;
  kept_.clear();
}

bool ReferenceCheck::MissesPictures(const AVPacket& packet) {
  if (codec_ != AV_CODEC_ID_H264 && codec_ != AV_CODEC_ID_HEVC) return false;
  std::size_t size = 0;
  const std::uint8_t* extradata = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
  if (extradata) Configure({extradata, size});
  bool misses = false;
  ForEachUnit({packet.data, static_cast<std::size_t>(packet.size)}, length_bytes_, [&](Bytes unit) {
    if (codec_ == AV_CODEC_ID_H264) {
      const int type = unit[0] & 0x1f;
      h264_.Note(unit);
      if (!h264::IsSlice(type)) return true;
      misses = MissesH264(unit);
      return false;
    }
    const bool is_first_layer = (unit[0] & 1) == 0 && (unit.size() < 2 || unit[1] >> 3 == 0);
    if (!is_first_layer) return true;
    const int type = unit[0] >> 1 & 0x3f;
    hevc_.Note(unit);
    if (type == hevc::kEndOfSequence || type == hevc::kEndOfBitstream) begins_ = true;
    if (type > hevc::kLastPicture) return true;
    misses = MissesHevc(unit);
    return false;
  });
  return misses;
}

// Each picture that others refer to has the number that follows the one before. Where keyframes were joined
// there is a gap that nothing leans on. A picture that makes numbers begin anew is followed by 0 or 1.
bool ReferenceCheck::MissesH264(Bytes unit) {
  const auto slice = h264_.ReadSlice(unit);
  if (!slice) {
    frame_number_.reset();
    return false;
  }
  const bool follows = slice->idr || !frame_number_ || slice->gaps_allowed ||
                       slice->frame_number == *frame_number_ ||
                       slice->frame_number == (*frame_number_ + 1) % slice->frame_numbers;
  if (slice->idr || slice->resets)
    frame_number_ = 0;
  else if (slice->reference || !follows)
    frame_number_ = slice->frame_number;
  return !follows && !slice->intra;
}

bool ReferenceCheck::MissesHevc(Bytes unit) {
  const auto slice = hevc_.ReadSlice(unit);
  if (!slice) return false;
  const bool access = slice->type >= hevc::kFirstAccess && slice->type <= hevc::kLastAccess;
  const bool leading = slice->type >= hevc::kFirstDecodableLeading && slice->type <= hevc::kLastLeading;
  const bool first = access && (begins_ || slice->type <= hevc::kLastIdr);
  if (access) skips_leading_ = first;
  if (first) kept_.clear();
  begins_ = false;
  if (leading && slice->type >= hevc::kFirstSkippedLeading && skips_leading_) return false;
  const std::int64_t order = first ? static_cast<std::int64_t>(slice->order_low) : OrderOf(*slice);
  // Pictures whose number others are counted from: of the lowest layer, and no picture does without them.
  const bool refers_to_none = slice->type < hevc::kFirstAccess && slice->type % 2 == 0;
  if (slice->temporal_layer == 0 && !leading && !refers_to_none) anchor_ = order;
  return Keep(*slice, order) && !access;
}

// The low bits that are written, and the rest of the nearest number to the one that was counted from.
std::int64_t ReferenceCheck::OrderOf(const HevcSlice& slice) {
  const std::int64_t turn = std::int64_t{1} << slice.order_bits;
  const auto low = static_cast<std::int64_t>(slice.order_low);
  const std::int64_t anchor_low = anchor_ & (turn - 1);
  std::int64_t high = anchor_ - anchor_low;
  if (low < anchor_low && anchor_low - low >= turn / 2) high += turn;
  if (low > anchor_low && low - anchor_low > turn / 2) high -= turn;
  return high + low;
}

// What the picture lists is kept, all else is dropped. True where something that it refers to is not there; a
// decoder makes something up in its place, and then it is.
bool ReferenceCheck::Keep(const HevcSlice& slice, std::int64_t order) {
  std::vector<std::int64_t> kept;
  bool misses = false;
  for (const HevcReference& reference : slice.references) {
    const bool there = std::ranges::find(kept_, order + reference.order) != kept_.end();
    misses = misses || (reference.used && !there);
    if (there || reference.used) kept.push_back(order + reference.order);
  }
  const std::int64_t turn = std::int64_t{1} << slice.order_bits;
  for (const HevcLongReference& reference : slice.long_references) {
    const auto low = static_cast<std::int64_t>(reference.low);
    const auto found = std::ranges::find_if(kept_, [&](std::int64_t candidate) {
      if (!reference.cycles) return (candidate & (turn - 1)) == low;
      const std::int64_t high = order - (order & (turn - 1)) - *reference.cycles * turn;
      return candidate == high + low;
    });
    misses = misses || (reference.used && found == kept_.end());
    if (found != kept_.end()) kept.push_back(*found);
  }
  kept.push_back(order);
  kept_ = std::move(kept);
  return misses;
}

}  // namespace cosmos
