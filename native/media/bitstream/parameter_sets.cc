#include "media/bitstream/parameter_sets.h"

#include <algorithm>
#include <span>
#include <utility>

namespace cosmos {

namespace {

using Bytes = std::span<const std::uint8_t>;

Bytes SideData(const AVPacket& packet, AVPacketSideDataType type) {
  std::size_t size = 0;
  const std::uint8_t* data = av_packet_get_side_data(&packet, type, &size);
  return data ? Bytes(data, size) : Bytes();
}

Status AddSideData(AVPacket& packet, AVPacketSideDataType type, Bytes data) {
  if (data.empty()) return {};
  std::uint8_t* copy = av_packet_new_side_data(&packet, type, data.size());
  if (!copy) return {StatusCode::kOutOfMemory, "no memory for parameter sets"};
  std::ranges::copy(data, copy);
  return {};
}

}  // namespace

ParameterSets::ParameterSets(const AVCodecParameters& parameters) {
  const std::span extradata(parameters.extradata, static_cast<std::size_t>(parameters.extradata_size));
  sets_.push_back({.first = 0, .extradata = {extradata.begin(), extradata.end()}, .palette = {}});
}

void ParameterSets::Observe(int place, const AVPacket& packet) {
  if (sets_.empty()) return;
  const Bytes extradata = SideData(packet, AV_PKT_DATA_NEW_EXTRADATA);
  const Bytes palette = SideData(packet, AV_PKT_DATA_PALETTE);
  // Many senders repeat the same sets every few seconds.
  const bool has_extradata = !extradata.empty() && !std::ranges::equal(extradata, sets_.back().extradata);
  const bool has_palette = !palette.empty() && !std::ranges::equal(palette, sets_.back().palette);
  if (!has_extradata && !has_palette) return;
  Set set = sets_.back();
  set.first = place;
  if (has_extradata) set.extradata.assign(extradata.begin(), extradata.end());
  if (has_palette) set.palette.assign(palette.begin(), palette.end());
  extradata_changes_ = extradata_changes_ || has_extradata;
  sets_.push_back(std::move(set));
}

int ParameterSets::At(int place) const {
  const auto after = std::ranges::upper_bound(sets_, place, {}, &Set::first);
  return std::max(static_cast<int>(after - sets_.begin()) - 1, 0);
}

Status ParameterSets::Attach(int number, AVPacket& packet) const {
  const Set& set = sets_[static_cast<std::size_t>(number)];
  if (extradata_changes_)
    COSMOS_RETURN_IF_ERROR(AddSideData(packet, AV_PKT_DATA_NEW_EXTRADATA, set.extradata));
  return AddSideData(packet, AV_PKT_DATA_PALETTE, set.palette);
}

}  // namespace cosmos
