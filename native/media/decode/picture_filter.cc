#include "media/decode/picture_filter.h"

#include <algorithm>
#include <cstring>

namespace cosmos {

PictureFilter::PictureFilter(const AVCodecParameters& parameters) {
  constexpr std::uint8_t kBox = 0x81;  // the first byte of av1C, which has 4 bytes before its OBUs
  constexpr std::size_t kBoxHeader = 4;
  slots_.fill(kNone);
  if (!parameters.extradata || parameters.extradata_size <= 0) return;
  std::span<const std::uint8_t> extradata(parameters.extradata,
                                          static_cast<std::size_t>(parameters.extradata_size));
  if (extradata[0] == kBox) extradata = extradata.subspan(std::min(kBoxHeader, extradata.size()));
  ForEachObu(extradata, [this](const Av1Obu& obu) {
    if (obu.type == av1::kSequenceHeader) headers_.ReadSequence(obu);
    return true;
  });
}

void PictureFilter::BeginSection() {
  pictures_.clear();
  begins_.clear();
  for (std::int32_t& slot : slots_) slot = slot == kNone ? kNone : kEarlier;
}

bool PictureFilter::Read(std::span<const std::uint8_t> packet) {
  constexpr std::size_t kMaxPictures = 32;  // of a packet, to bound the memory that hostile ones take
  const std::size_t begin = pictures_.size();
  bool understood = true;
  int shown = 0;
  ForEachObu(packet, [&](const Av1Obu& obu) {
    if (obu.type == av1::kSequenceHeader) headers_.ReadSequence(obu);
    if (!av1::BeginsPicture(obu.type)) return true;
    // Which spatial layer a decoder shows is its own choice.
    understood = obu.spatial_layer == 0 && pictures_.size() - begin < kMaxPictures && Add(obu);
    if (understood) shown += pictures_.back().shown ? 1 : 0;
    return understood;
  });
  if (!understood || shown > 1) return false;
  begins_.push_back(static_cast<std::int32_t>(begin));
  return true;
}

// False when the picture cannot be read, or needs one of before the run.
bool PictureFilter::Add(const Av1Obu& obu) {
  const auto header = headers_.ReadPicture(obu);
  if (!header) return false;
  Picture picture{.shown = header->shown};
  picture.uses.fill(kNone);
  for (int slot = 0; slot < av1::kSlots; ++slot) {
    if ((header->uses >> slot & 1) == 0) continue;
    if (slots_[slot] == kNone) return false;
    if (slots_[slot] != kEarlier) picture.uses[slot] = slots_[slot];
  }
  for (int slot = 0; slot < av1::kSlots; ++slot) {
    if ((header->refreshes >> slot & 1) != 0) slots_[slot] = static_cast<std::int32_t>(pictures_.size());
  }
  pictures_.push_back(picture);
  return true;
}

void PictureFilter::EndSection(std::span<const int> wanted, bool is_last) {
  for (const int number : wanted) {
    const auto end = static_cast<std::size_t>(number) + 1 < begins_.size()
                         ? static_cast<std::size_t>(begins_[number + 1])
                         : pictures_.size();
    for (std::size_t i = begins_[number]; i < end; ++i) pictures_[i].needed |= pictures_[i].shown;
  }
  for (const std::int32_t held : slots_) {
    if (!is_last && held >= 0) pictures_[held].needed = true;
  }
  // A picture only uses earlier ones.
  for (std::size_t i = pictures_.size(); i-- > 0;) {
    if (!pictures_[i].needed) continue;
    for (const std::int32_t used : pictures_[i].uses) {
      if (used != kNone) pictures_[used].needed = true;
    }
  }
}

// Later pictures need the sequence headers, whichever packet has them.
Result<PictureFilter::Rest> PictureFilter::Trim(AVPacket& packet, int number) const {
  const std::span<const std::uint8_t> whole(packet.data, static_cast<std::size_t>(packet.size));
  std::vector<std::span<const std::uint8_t>> kept;
  std::size_t next = begins_[number];
  bool keeps = true;  // the picture at hand, if any
  bool any = false;
  bool shows = true;
  std::size_t bytes = 0;
  ForEachObu(whole, [&](const Av1Obu& obu) {
    if (av1::BeginsPicture(obu.type) && next < pictures_.size()) {
      keeps = pictures_[next].needed;
      shows = shows && (keeps || !pictures_[next].shown);
      ++next;
    }
    if (av1::IsOfPicture(obu.type) && !keeps) return true;
    any = any || av1::IsOfPicture(obu.type) || obu.type == av1::kSequenceHeader;
    kept.push_back(obu.whole);
    bytes += obu.whole.size();
    return true;
  });
  if (!any) return Rest::kNothing;
  const Rest rest = shows ? Rest::kAll : Rest::kHidden;
  if (bytes == whole.size()) return rest;
  // The OBUs of the writable copy are at the same offsets.
  std::vector<std::size_t> offsets;
  offsets.reserve(kept.size());
  for (const auto& obu : kept) offsets.push_back(static_cast<std::size_t>(obu.data() - whole.data()));
  if (av_packet_make_writable(&packet) < 0) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
  std::size_t end = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    std::memmove(packet.data + end, packet.data + offsets[i], kept[i].size());
    end += kept[i].size();
  }
  av_shrink_packet(&packet, static_cast<int>(end));
  return rest;
}

}  // namespace cosmos
