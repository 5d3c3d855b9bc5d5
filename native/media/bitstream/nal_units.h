// Where the pieces of H.264, HEVC and MPEG packets begin, and what they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cosmos {

// Types of NAL units.
namespace h264 {
inline constexpr int kSlice = 1;
inline constexpr int kPartition = 2;  // of a slice
inline constexpr int kIdrSlice = 5;
inline constexpr int kSequenceSet = 7;
inline constexpr int kPictureSet = 8;

constexpr bool IsSlice(int type) { return type == kSlice || type == kPartition || type == kIdrSlice; }
}  // namespace h264

namespace hevc {
inline constexpr int kFirstDecodableLeading = 6;
inline constexpr int kFirstSkippedLeading = 8;
inline constexpr int kLastLeading = 9;
inline constexpr int kFirstAccess = 16;  // of the pictures that decoding can begin at
inline constexpr int kFirstIdr = 19;
inline constexpr int kLastIdr = 20;
inline constexpr int kCleanAccess = 21;
inline constexpr int kLastAccess = 23;
inline constexpr int kLastPicture = 31;
inline constexpr int kSequenceSet = 33;
inline constexpr int kPictureSet = 34;
inline constexpr int kEndOfSequence = 36;
inline constexpr int kEndOfBitstream = 37;
}  // namespace hevc

// Where the next start code's last zero-zero-one begins, at or after `from`; the size when there is none.
inline std::size_t FindStartCode(std::span<const std::uint8_t> data, std::size_t from) {
  for (std::size_t i = from; i + 3 < data.size();) {
    if (data[i + 2] > 1) {
      i += 3;
    } else if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) {
      return i;
    } else {
      ++i;
    }
  }
  return data.size();
}

// Calls `take` with what follows each start code, to the end of the packet, until it says false.
template <typename Take>
void ForEachStartCode(std::span<const std::uint8_t> data, Take take) {
  for (std::size_t at = FindStartCode(data, 0); at < data.size(); at = FindStartCode(data, at + 3)) {
    if (!take(data.subspan(at + 3))) return;
  }
}

// Calls `take` with each of `count` parameter sets of extradata, from `at` on, each behind its length in two
// bytes. Returns where the last one ends.
template <typename Take>
std::size_t ForEachSet(std::span<const std::uint8_t> extradata, std::size_t at, int count, Take take) {
  for (; count > 0 && at + 2 < extradata.size(); --count) {
    const std::size_t size = static_cast<std::size_t>(extradata[at]) << 8 | extradata[at + 1];
    at += 2;
    const auto unit = extradata.subspan(at, std::min(size, extradata.size() - at));
    take(unit);
    at += unit.size();
  }
  return at;
}

// Calls `take` with each NAL unit until it says false. `length_bytes`: of the length before each unit; 0
// where start codes part them. Between start codes the end of a unit is not looked for: what begins with it
// is enough.
template <typename Take>
void ForEachUnit(std::span<const std::uint8_t> data, int length_bytes, Take take) {
  if (length_bytes == 0) {
    ForEachStartCode(data, take);
    return;
  }
  const auto header = static_cast<std::size_t>(length_bytes);
  while (data.size() > header) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < header; ++i) length = length << 8 | data[i];
    data = data.subspan(header);
    const auto unit = data.first(std::min(length, data.size()));
    if (!unit.empty() && !take(unit)) return;
    data = data.subspan(unit.size());
  }
}

}  // namespace cosmos
