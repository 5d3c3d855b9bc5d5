#include "media/decode/run_reader.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace cosmos {
namespace {

// Bounds of a section, so that memory is bounded and the first picture of a long run comes soon. A group of
// pictures is mostly shorter.
constexpr int kMaxPackets = 512;
constexpr std::size_t kMaxBytes = 16 << 20;

}  // namespace

Status RunReader::Begin(const DecodeRun& run, int first, bool leave_out) {
  run_ = run;
  leaves_out_ = leave_out && run.last > first;
  filter_.reset();
  if (leaves_out_) filter_.emplace(demuxer_.parameters());
  ahead_.clear();
  expected_ = first;
  is_last_ = false;
  return cursor_.MoveTo(first);
}

Result<std::optional<RunReader::Packet>> RunReader::Next(AVPacket& packet) {
  if (ahead_.empty() && filter_ && !is_last_) COSMOS_RETURN_IF_ERROR(ReadSection());
  if (ahead_.empty()) {
    if (is_last_) return std::optional<Packet>();
    COSMOS_ASSIGN_OR_RETURN(const auto place, cursor_.Read(packet));
    if (!place || *place > run_.last) return std::optional<Packet>();
    return std::optional(Packet{*place});
  }
  const int number = packets_ - static_cast<int>(ahead_.size());
  const int place = ahead_.front().place;
  av_packet_unref(&packet);
  av_packet_move_ref(&packet, ahead_.front().packet.get());
  ahead_.pop_front();
  if (!filter_) return std::optional(Packet{place});
  using Rest = PictureFilter::Rest;
  COSMOS_ASSIGN_OR_RETURN(const Rest rest, filter_->Trim(packet, number));
  return std::optional(Packet{place, rest != Rest::kNothing, rest == Rest::kAll});
}

// A section ends after a keyframe if possible, since the pictures before it are needed no more. Where the
// filter cannot tell what a packet needs, all of this section and of what follows is decoded: of the sections
// before, everything that later pictures may need was.
Status RunReader::ReadSection() {
  filter_->BeginSection();
  packets_ = 0;
  std::size_t bytes = 0;
  std::vector<int> wanted;
  for (bool is_end = false; !is_end;) {
    ff::Packet packet(av_packet_alloc());
    if (!packet) return {StatusCode::kOutOfMemory, "no memory for a packet"};
    COSMOS_ASSIGN_OR_RETURN(const auto place, cursor_.Read(*packet));
    is_last_ = !place || *place >= run_.last;
    if (!place || *place > run_.last) break;
    const std::span<const std::uint8_t> data(packet->data, static_cast<std::size_t>(packet->size));
    const bool read = *place == expected_ && filter_->Read(data);
    expected_ = *place + 1;
    bytes += data.size();
    if (plan_.wants(*place)) wanted.push_back(packets_);
    ++packets_;
    ahead_.push_back({std::move(packet), *place});
    if (!read) {
      filter_.reset();
      return {};
    }
    const bool is_keyframe = index_.packet(*place).keyframe;
    is_end = is_last_ || (packets_ > 1 && is_keyframe) || packets_ == kMaxPackets || bytes >= kMaxBytes;
  }
  filter_->EndSection(wanted, is_last_);
  return {};
}

}  // namespace cosmos
