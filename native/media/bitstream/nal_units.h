// Splits packets of H.264, HEVC and MPEG into their units, and names the types of NAL units.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cosmos {

// nal_unit_type.
namespace h264 {
inline constexpr int kSlice = 1;
inline constexpr int kPartitionA = 2;
inline constexpr int kIdrSlice = 5;
inline constexpr int kSps = 7;
inline constexpr int kPps = 8;

constexpr bool IsSlice(int type) { return type == kSlice || type == kPartitionA || type == kIdrSlice; }
}  // namespace h264

namespace hevc {
inline constexpr int kFirstRadl = 6;
inline constexpr int kFirstRasl = 8;
inline constexpr int kLastRasl = 9;
inline constexpr int kFirstIrap = 16;  // IRAP pictures: random access points
inline constexpr int kFirstIdr = 19;
inline constexpr int kLastIdr = 20;
inline constexpr int kCra = 21;
inline constexpr int kLastIrap = 23;
inline constexpr int kLastVcl = 31;
inline constexpr int kSps = 33;
inline constexpr int kPps = 34;
inline constexpr int kEndOfSequence = 36;
inline constexpr int kEndOfBitstream = 37;
}  // namespace hevc

// The position of the next start code's 00 00 01 at or after `from`, or the size.
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

// Calls `take` with the rest of the packet after each start code, until it returns false.
template <typename Take>
void ForEachStartCode(std::span<const std::uint8_t> data, Take take) {
  for (std::size_t at = FindStartCode(data, 0); at < data.size(); at = FindStartCode(data, at + 3)) {
    if (!take(data.subspan(at + 3))) return;
  }
}

// Calls `take` with each of `count` parameter sets of extradata from `at` on, each preceded by its length in
// two bytes. Returns the end of the last one.
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

// Calls `take` with each NAL unit until it returns false. `length_bytes` is the size of the length field
// before each unit, 0 for start codes. With start codes, a unit extends to the end of the packet, because
// only its head is read.
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
