// Where the pieces of H.264, HEVC and MPEG packets begin.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cosmos {

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
