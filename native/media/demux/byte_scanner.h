// Reads numbers at any position of a source and searches it for patterns, without moving the source.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "media/demux/source.h"

namespace cosmos {

// Bytes outside of the source, or that can no longer be read, read as 0, which matches nothing that is
// searched for.
class ByteScanner {
 public:
  explicit ByteScanner(Source& source) : source_(source), buffer_(kBytes) {}

  std::int64_t size() const { return source_.size(); }

  // Returns buffered bytes from `at` on: at least `wanted` (at most kMaxPatternBytes), fewer only at the end.
  std::span<const std::uint8_t> BytesAt(std::int64_t at, std::size_t wanted);

  std::uint32_t Byte(std::int64_t at) { return static_cast<std::uint32_t>(Big(at, 1)); }
  std::uint32_t Big16(std::int64_t at) { return static_cast<std::uint32_t>(Big(at, 2)); }
  std::uint32_t Big32(std::int64_t at) { return static_cast<std::uint32_t>(Big(at, 4)); }
  std::uint64_t Big64(std::int64_t at) { return Big(at, 8); }
  std::uint32_t Little16(std::int64_t at) { return static_cast<std::uint32_t>(Little(at, 2)); }
  std::uint32_t Little32(std::int64_t at) { return static_cast<std::uint32_t>(Little(at, 4)); }
  bool Has(std::int64_t at, std::string_view text);

  // Calls `found(position)` for each match of one of `patterns`, in order, until it returns a Status that is
  // not ok. A pattern has at most kMaxPatternBytes bytes. Of a large file only both ends are searched: unlike
  // uploaded bytes, it was put on this machine by its operator, and need not be read as a whole.
  template <typename Found>
  Status ForEachMatch(std::span<const std::string_view> patterns, Found found) {
    const bool whole = source_.in_memory() || size() <= kSearchedWhole;
    COSMOS_RETURN_IF_ERROR(ForEachMatchIn(patterns, 0, whole ? size() : kSearchedEnd, found));
    return whole ? Status() : ForEachMatchIn(patterns, size() - kSearchedEnd, size(), found);
  }

  static constexpr std::size_t kMaxPatternBytes = 64;

 private:
  static constexpr std::size_t kBytes = 16 * 1024;
  static constexpr std::int64_t kSearchedWhole = 64 << 20;
  static constexpr std::int64_t kSearchedEnd = 8 << 20;

  template <typename Found>
  Status ForEachMatchIn(std::span<const std::string_view> patterns, std::int64_t begin, std::int64_t end,
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
    std::int64_t searched = 0;  // end of the searched bytes
  };
  Matches Find(std::span<const std::string_view> patterns, std::int64_t at, std::int64_t end);

  Source& source_;
  std::vector<std::uint8_t> buffer_;
  std::int64_t begin_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace cosmos
