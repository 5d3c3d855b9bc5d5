#include "media/still/picture_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace cosmos {
namespace {

using Span = std::span<const std::uint8_t>;

// Reads a file from its start to its end and keeps some of it.
class Copier {
 public:
  Copier(Span file, std::uint8_t* out) : rest_(file), out_(out) {}

  std::size_t left() const { return rest_.size(); }
  std::size_t kept() const { return kept_; }
  const Span& rest() const { return rest_; }

  void Keep(std::size_t bytes) {
    bytes = std::min(bytes, rest_.size());
    std::memmove(out_ + kept_, rest_.data(), bytes);
    kept_ += bytes;
    rest_ = rest_.subspan(bytes);
  }
  void Drop(std::size_t bytes) { rest_ = rest_.subspan(std::min(bytes, rest_.size())); }

  bool Has(std::size_t at, std::string_view name) const {
    return rest_.size() >= at + name.size() && std::memcmp(rest_.data() + at, name.data(), name.size()) == 0;
  }

 private:
  Span rest_;
  std::uint8_t* out_;
  std::size_t kept_ = 0;
};

std::size_t Big(Span bytes, std::size_t at, std::size_t count) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | (at + i < bytes.size() ? bytes[at + i] : 0);
  return value;
}

std::size_t Little32(Span bytes, std::size_t at) {
  std::size_t value = 0;
  for (std::size_t i = 4; i > 0; --i)
    value = value << 8 | (at + i - 1 < bytes.size() ? bytes[at + i - 1] : 0);
  return value;
}

// The critical chunks, and the colour that is transparent.
std::size_t CopyPng(Span file, std::uint8_t* out) {
  constexpr std::array<std::string_view, 5> kNeeded = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"};
  constexpr std::size_t kSignature = 8;
  constexpr std::size_t kFrame = 12;  // length, name and checksum
  Copier copier(file, out);
  copier.Keep(kSignature);
  while (copier.left() > 0) {
    const std::size_t bytes = kFrame + Big(copier.rest(), 0, 4);
    const bool needed =
        std::ranges::any_of(kNeeded, [&](std::string_view name) { return copier.Has(4, name); });
    needed ? copier.Keep(bytes) : copier.Drop(bytes);
  }
  return copier.kept();
}

// The picture, its transparency, and the header that announces both.
std::size_t CopyWebp(Span file, std::uint8_t* out) {
  constexpr std::array<std::string_view, 4> kNeeded = {"VP8 ", "VP8L", "VP8X", "ALPH"};
  constexpr std::size_t kHeader = 12;
  Copier copier(file, out);
  copier.Keep(kHeader);
  std::size_t dropped = 0;
  while (copier.left() > 0) {
    const std::size_t length = Little32(copier.rest(), 4);
    const std::size_t bytes = std::min(8 + length + (length & 1), copier.left());
    const bool needed =
        std::ranges::any_of(kNeeded, [&](std::string_view name) { return copier.Has(0, name); });
    needed ? copier.Keep(bytes) : copier.Drop(bytes);
    if (!needed) dropped += bytes;
  }
  // A file that was cut off still says so.
  const std::size_t size = Little32(file, 4);
  const std::size_t rest = size > dropped ? size - dropped : 0;
  for (std::size_t i = 0; i < 4; ++i) out[4 + i] = static_cast<std::uint8_t>(rest >> 8 * i);
  return copier.kept();
}

// From the second byte on: where the next marker is that is not one of a scan's own.
std::size_t BytesToMarker(Span rest) {
  for (std::size_t at = 1; at < rest.size(); at += 2) {
    const void* found = std::memchr(rest.data() + at, 0xff, rest.size() - at);
    if (!found) break;
    at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - rest.data());
    const std::size_t next = Big(rest, at + 1, 1);
    if (next != 0 && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  return rest.size();
}

// Without application notes but JFIF's and Adobe's, which say what the numbers of a pixel mean.
std::size_t CopyJpeg(Span file, std::uint8_t* out) {
  Copier copier(file, out);
  while (copier.left() > 0) {
    const std::size_t marker = copier.rest()[0] == 0xff ? Big(copier.rest(), 1, 1) : 0;
    const std::size_t bytes = 2 + Big(copier.rest(), 2, 2);
    const bool note = marker >= 0xe0 && marker <= 0xef;
    if (note && marker != 0xe0 && marker != 0xee) {
      copier.Drop(bytes);
    } else if (note || marker == 0xfe || marker == 0xc4 || marker == 0xdb) {
      copier.Keep(bytes);  // what is in a note, a comment or a table is no marker
    } else {
      copier.Keep(BytesToMarker(copier.rest()));
    }
  }
  return copier.kept();
}

// A decoder walks over the whole picture for each scan, and builds a table for each that is defined. A
// picture that is not progressive has a scan for each component at most. One that is has ten; as many as
// there are coefficients and bits of them would be a few hundred, and nobody writes those. Decoders look for
// markers where they should be none, so all are counted, wherever they stand.
Status CheckJpeg(Span file) {
  constexpr std::size_t kMostProgressive = 100;
  constexpr std::size_t kMostSequential = 16;
  constexpr std::size_t kMostPictures = 8;  // two fields, previews
  constexpr std::size_t kMostTableBytes = 256 * 1024;
  std::size_t scans = 0;
  std::size_t most_scans = kMostProgressive;
  std::size_t pictures = 0;
  std::size_t table_bytes = 0;
  for (std::size_t at = 0; at < file.size(); at += BytesToMarker(file.subspan(at))) {
    const std::size_t marker = file[at] == 0xff ? Big(file, at + 1, 1) : 0;
    if (marker == 0xda) ++scans;
    if (marker >= 0xc0 && marker <= 0xc3) ++pictures;
    if (marker == 0xc0 || marker == 0xc1 || marker == 0xc3) most_scans = kMostSequential;
    if (marker == 0xc4 || marker == 0xdb) table_bytes += Big(file, at + 2, 2);
  }
  const auto refuse = [](std::size_t most, const char* what) {
    return Status(StatusCode::kLimit, "a JPEG picture with more than " + std::to_string(most) + what +
                                          ", which is the most that is read")
        .With("limit", static_cast<double>(most));
  };
  if (scans > most_scans) return refuse(most_scans, " scans");
  if (pictures > kMostPictures) return refuse(kMostPictures, " frames");
  if (table_bytes > kMostTableBytes) return refuse(kMostTableBytes, " bytes of tables");
  return {};
}

}  // namespace

Result<std::size_t> CopyPixels(ImageFormat format, Span file, std::uint8_t* out) {
  switch (format) {
    case ImageFormat::kPng: return CopyPng(file, out);
    case ImageFormat::kWebp: return CopyWebp(file, out);
    case ImageFormat::kJpeg: break;
  }
  const std::size_t kept = CopyJpeg(file, out);
  COSMOS_RETURN_IF_ERROR(CheckJpeg(Span(out, kept)));
  return kept;
}

}  // namespace cosmos
