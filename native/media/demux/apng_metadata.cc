#include "media/demux/apng_metadata.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

namespace cosmos {

void StripApngMetadata(AVCodecParameters& parameters) {
  if (parameters.codec_id != AV_CODEC_ID_APNG || !parameters.extradata) return;
  constexpr std::array<std::string_view, 3> kNeeded = {"IHDR", "PLTE", "tRNS"};
  constexpr std::size_t kOverhead = 12;  // length, name and checksum
  const std::span chunks(parameters.extradata,
                         static_cast<std::size_t>(std::max(parameters.extradata_size, 0)));
  std::size_t kept = 0;
  for (std::size_t at = 0; at + kOverhead <= chunks.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | chunks[at + i];
    const std::size_t bytes = std::min(length + kOverhead, chunks.size() - at);
    const std::string_view name(reinterpret_cast<const char*>(&chunks[at + 4]), 4);
    if (std::ranges::find(kNeeded, name) != kNeeded.end()) {
      std::memmove(&chunks[kept], &chunks[at], bytes);
      kept += bytes;
    }
    at += bytes;
  }
  // The padding behind it must be zero.
  std::ranges::fill(chunks.subspan(kept), std::uint8_t{0});
  parameters.extradata_size = static_cast<int>(kept);
}

}  // namespace cosmos
