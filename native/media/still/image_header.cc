#include "media/still/image_header.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace cosmos {
namespace {

// Reads numbers at any position. Bytes past the end read as 0, which is no valid size.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> data) : data_(data) {}

  std::size_t size() const { return data_.size(); }
  std::uint32_t Byte(std::size_t at) const { return at < data_.size() ? data_[at] : 0; }
  std::uint32_t Big16(std::size_t at) const { return Byte(at) << 8 | Byte(at + 1); }
  std::uint32_t Big32(std::size_t at) const { return Big16(at) << 16 | Big16(at + 2); }
  std::uint32_t Little16(std::size_t at) const { return Byte(at) | Byte(at + 1) << 8; }
  std::uint32_t Little24(std::size_t at) const { return Little16(at) | Byte(at + 2) << 16; }
  std::uint32_t Little32(std::size_t at) const { return Little16(at) | Little16(at + 2) << 16; }
  bool Has(std::size_t at, std::string_view text) const {
    return at <= data_.size() && data_.size() - at >= text.size() &&
           std::ranges::equal(data_.subspan(at, text.size()), text,
                              [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
  }

 private:
  std::span<const std::uint8_t> data_;
};

std::optional<ImageHeader> MakeHeader(ImageFormat format, std::uint32_t width, std::uint32_t height,
                                      bool animated) {
  constexpr std::uint32_t kMaxSide = 1 << 24;
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide) return std::nullopt;
  return ImageHeader{format, static_cast<int>(width), static_cast<int>(height), animated};
}

std::optional<ImageHeader> ReadJpeg(const Bytes& bytes) {
  for (std::size_t at = 2; at + 4 < bytes.size();) {
    if (bytes.Byte(at) != 0xff) return std::nullopt;
    const std::uint32_t marker = bytes.Byte(at + 1);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    // SOF0 to SOF15 without DHT (c4), JPG (c8) and DAC (cc).
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame) return MakeHeader(ImageFormat::kJpeg, bytes.Big16(at + 7), bytes.Big16(at + 5), false);
    const bool alone = marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    at += 2 + (alone ? 0 : std::max<std::uint32_t>(bytes.Big16(at + 2), 2));
  }
  return std::nullopt;
}

std::optional<ImageHeader> ReadPng(const Bytes& bytes) {
  if (!bytes.Has(12, "IHDR")) return std::nullopt;
  bool animated = false;
  for (std::size_t at = 8; at + 8 < bytes.size() && !bytes.Has(at + 4, "IDAT");) {
    animated = animated || bytes.Has(at + 4, "acTL");
    at += std::size_t{12} + bytes.Big32(at);
  }
  return MakeHeader(ImageFormat::kPng, bytes.Big32(16), bytes.Big32(20), animated);
}

std::optional<ImageHeader> ReadWebp(const Bytes& bytes) {
  if (bytes.Has(12, "VP8X")) {
    const bool animated = bytes.Byte(20) & 0x02;
    return MakeHeader(ImageFormat::kWebp, bytes.Little24(24) + 1, bytes.Little24(27) + 1, animated);
  }
  if (bytes.Has(12, "VP8L")) {
    const std::uint32_t bits = bytes.Little32(21);
    return MakeHeader(ImageFormat::kWebp, (bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1, false);
  }
  if (bytes.Has(12, "VP8 ")) {
    return MakeHeader(ImageFormat::kWebp, bytes.Little16(26) & 0x3fff, bytes.Little16(28) & 0x3fff, false);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ImageHeader> ReadImageHeader(std::span<const std::uint8_t> data) {
  const Bytes bytes(data);
  if (bytes.Has(0, "\xff\xd8\xff")) return ReadJpeg(bytes);
  if (bytes.Has(0, "\x89PNG\r\n\x1a\n")) return ReadPng(bytes);
  if (bytes.Has(0, "RIFF") && bytes.Has(8, "WEBP")) return ReadWebp(bytes);
  return std::nullopt;
}

}  // namespace cosmos
