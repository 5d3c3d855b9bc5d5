// What a fuzz target is: one file in native/fuzz/targets that defines FuzzOne. Clang links it with libFuzzer,
// any compiler with replay.cc, which runs it over files. `npm run fuzz` builds and runs both.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <span>
#include <string>

#include "base/status.h"
#include "media/clip_types.h"

namespace cosmos::fuzz {

using Bytes = std::span<const std::uint8_t>;

// Does what a server would do with these bytes. It may return anything, but must not crash, hang or take
// memory without bounds; what else it promises, it checks with Require.
void FuzzOne(Bytes input);

// Ends the process like a crash, so that libFuzzer keeps the input as a finding.
inline void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: broken promise: %s\n", what.c_str());
  std::abort();
}

// Bytes of strangers may fail only in these ways: neither as a bug of this package, nor as a lack of memory,
// nor only because time ran out.
inline void RequireTyped(const Status& status) {
  for (const StatusCode allowed :
       {StatusCode::kOk, StatusCode::kMedia, StatusCode::kLimit, StatusCode::kEncrypted}) {
    if (status.code() == allowed) return;
  }
  Require(false, std::string(StatusCodeName(status.code())) + ": " + status.message());
}

// Small enough that one input takes milliseconds, large enough for the generated media.
inline DecodeLimits SmallLimits() {
  return {.max_pixels = 256 * 256,
          .max_streams = 4,
          .max_packets_without_frame = 200,
          .max_wall_seconds = 60,
          .max_bytes = 32 << 20};
}

// Chooses options by the content of the input, so that the input itself can be a plain media file.
class Choices {
 public:
  explicit Choices(Bytes input) {
    // FNV-1a. The end of a file matters most: a mutation there changes the options and little else.
    for (const std::uint8_t byte : input.last(std::min<std::size_t>(input.size(), 64))) {
      state_ = (state_ ^ byte) * 0x100000001b3U;
    }
  }
  // From 0 to `count` - 1.
  int Below(int count) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int>((state_ >> 33) % static_cast<std::uint64_t>(count));
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325U;
};

}  // namespace cosmos::fuzz
