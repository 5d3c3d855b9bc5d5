// Numbers at any place of a source, without moving it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "media/demux/source.h"

namespace cosmos {

// What lies outside of the source, or cannot be read any more, reads as 0: nothing that is looked for is.
class ByteWindow {
 public:
  explicit ByteWindow(Source& source) : source_(source), buffer_(kBytes) {}

  std::int64_t size() const { return source_.size(); }

  // The bytes from `at` on that are at hand: at least `wanted` (at most kLongest), fewer at the end only.
  std::span<const std::uint8_t> From(std::int64_t at, std::size_t wanted);

  std::uint32_t Byte(std::int64_t at) { return static_cast<std::uint32_t>(Big(at, 1)); }
  std::uint32_t Big16(std::int64_t at) { return static_cast<std::uint32_t>(Big(at, 2)); }
  std::uint32_t Big32(std::int64_t at) { return static_cast<std::uint32_t>(Big(at, 4)); }
  std::uint64_t Big64(std::int64_t at) { return Big(at, 8); }
  std::uint32_t Little16(std::int64_t at) { return static_cast<std::uint32_t>(Little(at, 2)); }
  std::uint32_t Little32(std::int64_t at) { return static_cast<std::uint32_t>(Little(at, 4)); }
  bool Has(std::int64_t at, std::string_view text);

  // Calls `found(position)` wherever one of `patterns` stands, in order, until it returns a Status that is
  // not ok. A pattern has at most kLongest bytes. Of a large file only both ends are searched: unlike what is
  // in memory, it was put on this machine by somebody, and need not be read as a whole.
  template <typename Found>
  Status ForEach(std::span<const std::string_view> patterns, Found found) {
    const bool whole = source_.in_memory() || size() <= kSearchedWhole;
    COSMOS_RETURN_IF_ERROR(ForEachIn(patterns, 0, whole ? size() : kSearchedEnd, found));
    return whole ? Status() : ForEachIn(patterns, size() - kSearchedEnd, size(), found);
  }

  static constexpr std::size_t kLongest = 64;

 private:
  static constexpr std::size_t kBytes = 16 * 1024;
  static constexpr std::int64_t kSearchedWhole = 64 << 20;
  static constexpr std::int64_t kSearchedEnd = 8 << 20;

  template <typename Found>
  Status ForEachIn(std::span<const std::string_view> patterns, std::int64_t begin, std::int64_t end,
                   Found& found) {
    while (begin < end) {
      const Matches matches = Find(patterns, begin, end);
      for (const std::int64_t at : matches.positions) COSMOS_RETURN_IF_ERROR(found(at));
      begin = matches.searched;
    }
    return {};
  }
  std::uint64_t Big(std::int64_t at, std::size_t bytes);
  std::uint64_t Little(std::int64_t at, std::size_t bytes);
  struct Matches {
    std::vector<std::int64_t> positions;
    std::int64_t searched = 0;  // up to here
  };
  Matches Find(std::span<const std::string_view> patterns, std::int64_t at, std::int64_t end);

  Source& source_;
  std::vector<std::uint8_t> buffer_;
  std::int64_t begin_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace cosmos
