#include "media/demux/packet_cursor.h"

#include <algorithm>
#include <utility>

namespace cosmos {
namespace {

// Reading past up to this many packets is cheaper than a seek.
constexpr int kMaxReadPast = 16;

}  // namespace

Status PacketCursor::MoveTo(int place) {
  if (!pending_) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  first_place_ = place;
  expected_ = -1;
  sent_sets_ = -1;
  const bool by_time = index_.seekable() && seeks_are_right_;
  const bool by_position = !index_.seekable() && index_.has_positions();
  const bool by_reading = !by_time && !by_position;
  if (next_ >= 0 && place >= next_ && (place - next_ <= kMaxReadPast || by_reading)) return {};
  pending_place_.reset();
  ++seeks_;
  if (by_time) return SeekTo(place);
  if (by_position) return SeekToPosition(place);
  next_ = 0;
  return demuxer_.Rewind();
}

// Containers differ in what they seek by and how precisely. So this seeks, looks at the next packet, and if
// it is too late, tries an earlier keyframe, twice as far back each time; finally it rewinds.
Status PacketCursor::SeekTo(int place) {
  for (int back = 0; place - back >= 0; back = back * 2 + 1) {
    const int keyframe = index_.KeyframeFor(place - back);
    const IndexedPacket& packet = index_.packet(keyframe);
    // Matroska and mp4 seek by presentation time, the others by decoding time.
    const bool by_dts = !demuxer_.has_sample_tables() && packet.dts != IndexedPacket::kNoTime;
    if (!demuxer_.Seek(by_dts ? packet.dts : packet.pts)) break;
    next_ = -1;
    auto read = ReadAny(*pending_);
    while (read.ok() && read.value() && *read.value() < 0) read = ReadAny(*pending_);
    if (!read.ok()) return read.TakeStatus();
    if (read.value() && *read.value() <= place) {
      pending_place_ = read.value();
      return {};
    }
  }
  next_ = -1;
  return demuxer_.Rewind();
}

// A raw stream is cut into packets wherever reading begins, so this checks that the same packet comes first.
Status PacketCursor::SeekToPosition(int place) {
  if (demuxer_.SeekToByte(index_.packet(place).position)) {
    COSMOS_ASSIGN_OR_RETURN(const auto read, ReadAny(*pending_));
    if (read == place) {
      pending_place_ = place;
      return {};
    }
  }
  next_ = 0;
  return demuxer_.Rewind();
}

Result<std::optional<int>> PacketCursor::Read(AVPacket& packet) {
  auto place = ReadPlaced(packet);
  if (!place.ok() || !place.value() || !parameter_sets_.change()) return place;
  const int sets = parameter_sets_.At(*place.value());
  if (sets != sent_sets_) COSMOS_RETURN_IF_ERROR(parameter_sets_.Attach(sets, packet));
  sent_sets_ = sets;
  return place;
}

Result<std::optional<int>> PacketCursor::ReadPlaced(AVPacket& packet) {
  for (;;) {
    std::optional<int> place;
    if (pending_place_) {
      place = std::exchange(pending_place_, std::nullopt);
      av_packet_unref(&packet);
      av_packet_move_ref(&packet, pending_.get());
    } else {
      COSMOS_ASSIGN_OR_RETURN(place, ReadAny(packet));
    }
    if (IsGap(place) || IsAltered(place, packet)) {
      COSMOS_RETURN_IF_ERROR(ReadFromStart());
      continue;
    }
    if (place && *place >= 0) expected_ = *place + 1;
    if (!place || *place >= first_place_) return place;
  }
}

// Whether packets of the index are missing before `place`, or before the end. After a seek, FFmpeg ends some
// fragmented files early.
bool PacketCursor::IsGap(std::optional<int> place) const {
  if (!index_.seekable() || !seeks_are_right_ || seeks_ == 0) return false;
  const int expected = std::max(expected_, first_place_);
  if (!place) return expected < index_.packet_count();
  return expected_ >= 0 && *place > expected_;
}

// After a seek, FFmpeg reads samples of some fragmented files with the sizes of another track's.
bool PacketCursor::IsAltered(std::optional<int> place, const AVPacket& packet) const {
  if (!index_.seekable() || !seeks_are_right_ || seeks_ == 0 || !place || *place < 0) return false;
  const std::int32_t size = index_.packet(*place).size;
  return size >= 0 && packet.size != size;
}

Status PacketCursor::ReadFromStart() {
  seeks_are_right_ = false;
  first_place_ = std::max(expected_, first_place_);
  pending_place_.reset();
  next_ = -1;
  ++seeks_;
  return demuxer_.Rewind();
}

Result<std::optional<int>> PacketCursor::ReadAny(AVPacket& packet) {
  COSMOS_ASSIGN_OR_RETURN(auto read, demuxer_.Read(packet));
  if (!read) return std::optional<int>();
  if (!index_.seekable() && !index_.has_positions()) {
    return std::optional(next_ < index_.packet_count() ? next_++ : -1);
  }
  const int place = index_.seekable() ? index_.PlaceOf(packet.pts) : index_.PlaceAt(packet.pos);
  next_ = place < 0 ? -1 : place + 1;
  return std::optional(place);
}

}  // namespace cosmos
