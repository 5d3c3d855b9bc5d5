#include "media/demux/byte_scanner.h"

namespace cosmos {

std::span<const std::uint8_t> ByteScanner::BytesAt(std::int64_t at, std::size_t wanted) {
  if (at < 0 || at >= size()) return {};
  const std::int64_t end = begin_ + static_cast<std::int64_t>(filled_);
  const std::int64_t needed = std::min(at + static_cast<std::int64_t>(wanted), size());
  if (at < begin_ || needed > end) {
    begin_ = at;
    filled_ = source_.Peek(at, buffer_);
  }
  return std::span(buffer_).first(filled_).subspan(static_cast<std::size_t>(at - begin_));
}

std::uint64_t ByteScanner::Big(std::int64_t at, std::size_t bytes) {
  const auto data = BytesAt(at, bytes);
  if (data.size() < bytes) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | data[i];
  return value;
}

std::uint64_t ByteScanner::Little(std::int64_t at, std::size_t bytes) {
  const auto data = BytesAt(at, bytes);
  if (data.size() < bytes) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i > 0; --i) value = value << 8 | data[i - 1];
  return value;
}

bool ByteScanner::Has(std::int64_t at, std::string_view text) {
  const auto data = BytesAt(at, text.size());
  return data.size() >= text.size() && std::ranges::equal(data.first(text.size()), text, [](auto a, char b) {
           return a == static_cast<std::uint8_t>(b);
         });
}

// Searches what one buffer holds.
ByteScanner::Matches ByteScanner::Find(std::span<const std::string_view> patterns, std::int64_t at,
                                       std::int64_t end) {
  const auto data = BytesAt(at, kMaxPatternBytes);
  if (data.empty()) return {{}, size()};
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  // A pattern that begins closer to the buffer's end is found whole in the next one.
  const bool last = at + static_cast<std::int64_t>(data.size()) >= size();
  const std::size_t starts =
      std::min(last ? data.size() : data.size() - kMaxPatternBytes + 1, static_cast<std::size_t>(end - at));
  Matches matches{{}, at + static_cast<std::int64_t>(starts)};
  for (const std::string_view pattern : patterns) {
    for (std::size_t place = text.find(pattern); place < starts; place = text.find(pattern, place + 1)) {
      matches.positions.push_back(at + static_cast<std::int64_t>(place));
    }
  }
  std::ranges::sort(matches.positions);
  return matches;
}

}  // namespace cosmos
