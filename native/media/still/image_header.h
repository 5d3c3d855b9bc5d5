// What a still picture's header says, read before a decoder sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace cosmos {

enum class ImageFormat { kJpeg, kPng, kWebp };

struct ImageHeader {
  ImageFormat format = ImageFormat::kJpeg;
  int width = 0;
  int height = 0;
  bool animated = false;
};

// Nothing when the bytes are none of the formats, or end before they say how large the picture is.
std::optional<ImageHeader> ReadImageHeader(std::span<const std::uint8_t> bytes);

}  // namespace cosmos
