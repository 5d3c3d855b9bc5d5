#include "media/bitstream/picture_order.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace cosmos {
namespace {

bool FollowsParser(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4: return true;
    default: return false;
  }
}

}  // namespace

void PictureOrder::Add(const AVPacket& packet, const AccessUnit& unit) {
  const std::int64_t place = forgotten_ + static_cast<std::int64_t>(positions_.size());
  Position position = positions_.empty() ? Position() : positions_.back();
  position.has_picture = unit.has_picture;
  // The parsers of the other codecs take time and tell nothing that is needed.
  const AVCodecParserContext* parsed = FollowsParser(codec_) ? parser_.Parse(packet) : nullptr;
  switch (codec_) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
      if (unit.has_picture && parsed) {
        if (unit.restarts_order) ++position.epoch;
        position.number = unit.resets_order ? 0 : parsed->output_picture_number;
      }
      break;
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_VC1:
    case AV_CODEC_ID_WMV3: {
      // A B picture is shown when it is decoded, any other when the next picture that is not a B picture is
      // decoded.
      const bool is_vc1 = codec_ == AV_CODEC_ID_VC1 || codec_ == AV_CODEC_ID_WMV3;
      const bool bidirectional =
          is_vc1 ? unit.bidirectional : !parsed || parsed->pict_type == AV_PICTURE_TYPE_B;
      position.number = 2 * place;
      if (!unit.has_picture || bidirectional) break;
      if (last_reference_ >= forgotten_) positions_[last_reference_ - forgotten_].number = 2 * place - 1;
      position.number = std::numeric_limits<std::int64_t>::max();
      last_reference_ = place;
      break;
    }
    default: position.number = place;
  }
  positions_.push_back(position);
}

std::vector<int> PictureOrder::Display() const {
  std::vector<int> places(positions_.size());
  std::iota(places.begin(), places.end(), 0);
  std::ranges::stable_sort(
      places, {}, [&](int place) { return std::tuple(positions_[place].epoch, positions_[place].number); });
  return places;
}

void PictureOrder::Forget(int count) {
  positions_.erase(positions_.begin(), positions_.begin() + count);
  forgotten_ += count;
}

bool PictureOrder::IsReliable(const std::vector<int>& display) const {
  switch (codec_) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC: break;
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_VC1:
    case AV_CODEC_ID_WMV3:
    case AV_CODEC_ID_VP8:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_MJPEG: return true;
    default: return false;
  }
  const Position* before = nullptr;
  int order = 0;
  for (const int place : display) {
    const Position& position = positions_[place];
    if (place - order++ > kMaxReordered) return false;
    if (!position.has_picture) continue;
    if (before && before->epoch == position.epoch && before->number == position.number) return false;
    before = &position;
  }
  return true;
}

}  // namespace cosmos
