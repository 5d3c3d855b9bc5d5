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
  frame_num_.reset();
  starts_sequence_ = true;
  skips_rasl_ = false;
  anchor_poc_ = 0;
  references_.clear();
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
      h264_.Observe(unit);
      if (!h264::IsSlice(type)) return true;
      misses = MissesH264(unit);
      return false;
    }
    const bool is_first_layer = (unit[0] & 1) == 0 && (unit.size() < 2 || unit[1] >> 3 == 0);
    if (!is_first_layer) return true;
    const int type = unit[0] >> 1 & 0x3f;
    hevc_.Observe(unit);
    if (type == hevc::kEndOfSequence || type == hevc::kEndOfBitstream) starts_sequence_ = true;
    if (type > hevc::kLastVcl) return true;
    misses = MissesHevc(unit);
    return false;
  });
  return misses;
}

// frame_num increases by one from reference picture to reference picture. Where keyframes were cut together
// there is a gap, but no picture depends on it. After an operation 5, frame_num continues at 0 or 1.
bool ReferenceCheck::MissesH264(Bytes unit) {
  const auto slice = h264_.ReadSlice(unit);
  if (!slice) {
    frame_num_.reset();
    return false;
  }
  const bool follows = slice->idr || !frame_num_ || slice->frame_num_gaps_allowed ||
                       slice->frame_num == *frame_num_ ||
                       slice->frame_num == (*frame_num_ + 1) % slice->max_frame_num;
  if (slice->idr || slice->has_mmco5)
    frame_num_ = 0;
  else if (slice->reference || !follows)
    frame_num_ = slice->frame_num;
  return !follows && !slice->intra;
}

bool ReferenceCheck::MissesHevc(Bytes unit) {
  const auto slice = hevc_.ReadSlice(unit);
  if (!slice) return false;
  const bool access = slice->type >= hevc::kFirstIrap && slice->type <= hevc::kLastIrap;
  const bool leading = slice->type >= hevc::kFirstRadl && slice->type <= hevc::kLastRasl;
  const bool first = access && (starts_sequence_ || slice->type <= hevc::kLastIdr);
  if (access) skips_rasl_ = first;
  if (first) references_.clear();
  starts_sequence_ = false;
  if (leading && slice->type >= hevc::kFirstRasl && skips_rasl_) return false;
  const std::int64_t order = first ? static_cast<std::int64_t>(slice->poc_lsb) : PocOf(*slice);
  // prevTid0Pic: of the lowest temporal layer, and neither leading nor a sub-layer non-reference picture.
  const bool sub_layer_non_reference = slice->type < hevc::kFirstIrap && slice->type % 2 == 0;
  if (slice->temporal_layer == 0 && !leading && !sub_layer_non_reference) anchor_poc_ = order;
  return UpdateReferences(*slice, order) && !access;
}

// Completes the low bits with the high bits that bring them closest to anchor_poc_.
std::int64_t ReferenceCheck::PocOf(const HevcSlice& slice) {
  const std::int64_t turn = std::int64_t{1} << slice.poc_lsb_bits;
  const auto low = static_cast<std::int64_t>(slice.poc_lsb);
  const std::int64_t anchor_low = anchor_poc_ & (turn - 1);
  std::int64_t high = anchor_poc_ - anchor_low;
  if (low < anchor_low && anchor_low - low >= turn / 2) high += turn;
  if (low > anchor_low && low - anchor_low > turn / 2) high -= turn;
  return high + low;
}

// Keeps the pictures that the slice lists and drops all others. Returns true when one that it refers to is
// missing; a decoder then generates a substitute, which counts as present from then on.
bool ReferenceCheck::UpdateReferences(const HevcSlice& slice, std::int64_t order) {
  std::vector<std::int64_t> kept;
  bool misses = false;
  for (const HevcReference& reference : slice.references) {
    const bool there = std::ranges::find(references_, order + reference.delta_poc) != references_.end();
    misses = misses || (reference.used && !there);
    if (there || reference.used) kept.push_back(order + reference.delta_poc);
  }
  const std::int64_t turn = std::int64_t{1} << slice.poc_lsb_bits;
  for (const HevcLongTermReference& reference : slice.long_term_references) {
    const auto low = static_cast<std::int64_t>(reference.poc_lsb);
    const auto found = std::ranges::find_if(references_, [&](std::int64_t candidate) {
      if (!reference.poc_msb_cycles) return (candidate & (turn - 1)) == low;
      const std::int64_t high = order - (order & (turn - 1)) - *reference.poc_msb_cycles * turn;
      return candidate == high + low;
    });
    misses = misses || (reference.used && found == references_.end());
    if (found != references_.end()) kept.push_back(*found);
  }
  kept.push_back(order);
  references_ = std::move(kept);
  return misses;
}

}  // namespace cosmos
