// Limits how much memory and time a container's tables may cost FFmpeg.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "media/clip_types.h"

namespace cosmos {

// FFmpeg builds whatever a container's tables ask for before it returns, and cannot be interrupted. So the
// tables are added up first.
class TableBudget {
 public:
  explicit TableBudget(const DecodeLimits& limits) : limits_(limits) {}

  // Adds `count` entries for which FFmpeg keeps `bytes` of memory each.
  Status AddMemory(std::uint64_t count, std::uint64_t bytes) {
    if (count > 0 && bytes > (kSaturated - taken_) / count) {
      taken_ = kSaturated;
    } else {
      taken_ += count * bytes;
    }
    if (taken_ <= static_cast<std::uint64_t>(limits_.max_bytes)) return {};
    return Status(StatusCode::kLimit, "the container's tables need more memory than the limit maxBytes of " +
                                          std::to_string(limits_.max_bytes) + " bytes")
        .With("limit", static_cast<double>(limits_.max_bytes));
  }

  // Adds `count` entries of lists that FFmpeg searches from the start for each entry: their time grows with
  // the square.
  Status AddListEntries(std::uint64_t count) {
    listed_ += count;
    if (listed_ <= kMaxListed) return {};
    return Status(StatusCode::kLimit, "the container has more than " + std::to_string(kMaxListed) +
                                          " tags, chapters and similar entries, the maximum")
        .With("limit", static_cast<double>(kMaxListed));
  }

  Status CheckStreams(std::uint64_t count) const {
    if (count <= static_cast<std::uint64_t>(limits_.max_streams)) return {};
    return TooManyStreams(limits_);
  }
  static Status TooManyStreams(const DecodeLimits& limits) {
    return Status(StatusCode::kLimit, "the container has more streams than the limit maxStreams of " +
                                          std::to_string(limits.max_streams))
        .With("limit", static_cast<double>(limits.max_streams));
  }

 private:
  static constexpr std::uint64_t kSaturated = std::uint64_t{1} << 62;
  static constexpr std::uint64_t kMaxListed = 10'000;

  const DecodeLimits& limits_;
  std::uint64_t taken_ = 0;
  std::uint64_t listed_ = 0;
};

// The error for a table that claims more entries than the file has bytes for.
inline Status DamagedTable(const std::string& name) {
  return Status(StatusCode::kMedia, "the container is damaged: its table " + name +
                                        " claims more entries than the file has bytes for")
      .With("table", name);
}

}  // namespace cosmos
