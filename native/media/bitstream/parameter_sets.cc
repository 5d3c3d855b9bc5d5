#include "media/bitstream/parameter_sets.h"

#include <algorithm>
#include <span>

namespace cosmos {

ParameterSets::ParameterSets(const AVCodecParameters& parameters) {
  const std::span extradata(parameters.extradata, static_cast<std::size_t>(parameters.extradata_size));
  sets_.push_back({0, {extradata.begin(), extradata.end()}});
}

void ParameterSets::Observe(int place, const AVPacket& packet) {
  std::size_t size = 0;
  const std::uint8_t* data = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
  if (!data || size == 0 || sets_.empty()) return;
  const std::span extradata(data, size);
  // Many senders repeat the same sets every few seconds.
  if (std::ranges::equal(extradata, sets_.back().extradata)) return;
  sets_.push_back({place, {extradata.begin(), extradata.end()}});
}

int ParameterSets::At(int place) const {
  const auto after = std::ranges::upper_bound(sets_, place, {}, &Set::first);
  return std::max(static_cast<int>(after - sets_.begin()) - 1, 0);
}

Status ParameterSets::Attach(int number, AVPacket& packet) const {
  const std::vector<std::uint8_t>& extradata = sets_[static_cast<std::size_t>(number)].extradata;
  if (extradata.empty()) return {};
  std::uint8_t* copy = av_packet_new_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, extradata.size());
  if (!copy) return {StatusCode::kOutOfMemory, "no memory for parameter sets"};
  std::ranges::copy(extradata, copy);
  return {};
}

}  // namespace cosmos
