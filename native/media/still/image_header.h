// Reads the format and size of a still image from its header, before a decoder gets it.
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

// Nothing when the bytes have none of the formats, or end before the size.
std::optional<ImageHeader> ReadImageHeader(std::span<const std::uint8_t> bytes);

}  // namespace cosmos
