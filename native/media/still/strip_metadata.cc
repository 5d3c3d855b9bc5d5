#include "media/still/strip_metadata.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace cosmos {
namespace {

using Span = std::span<const std::uint8_t>;

// Walks over a file from start to end and copies the parts to keep.
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

// Keeps the critical chunks and the transparent colour.
std::size_t CopyPng(Span file, std::uint8_t* out) {
  constexpr std::array<std::string_view, 5> kNeeded = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"};
  constexpr std::size_t kSignature = 8;
  constexpr std::size_t kChunkOverhead = 12;  // length, name and checksum
  Copier copier(file, out);
  copier.Keep(kSignature);
  while (copier.left() > 0) {
    const std::size_t bytes = kChunkOverhead + Big(copier.rest(), 0, 4);
    const bool needed =
        std::ranges::any_of(kNeeded, [&](std::string_view name) { return copier.Has(4, name); });
    needed ? copier.Keep(bytes) : copier.Drop(bytes);
  }
  return copier.kept();
}

// Keeps the image, its transparency, and the header that announces both.
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
  // Reduces the stated size instead of recomputing it, so that a truncated file stays recognisable.
  const std::size_t size = Little32(file, 4);
  const std::size_t rest = size > dropped ? size - dropped : 0;
  for (std::size_t i = 0; i < 4; ++i) out[4 + i] = static_cast<std::uint8_t>(rest >> 8 * i);
  return copier.kept();
}

// The number of bytes to the next marker, from the second byte on. Escaped bytes and restart markers belong
// to a scan and are skipped.
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

// Drops application segments except JFIF's and Adobe's, which define the colour space.
std::size_t CopyJpeg(Span file, std::uint8_t* out) {
  Copier copier(file, out);
  while (copier.left() > 0) {
    const std::size_t marker = copier.rest()[0] == 0xff ? Big(copier.rest(), 1, 1) : 0;
    const std::size_t bytes = 2 + Big(copier.rest(), 2, 2);
    const bool application = marker >= 0xe0 && marker <= 0xef;
    if (application && marker != 0xe0 && marker != 0xee) {
      copier.Drop(bytes);
    } else if (application || marker == 0xfe || marker == 0xc4 || marker == 0xdb) {
      copier.Keep(bytes);  // markers inside a segment, a comment or a table are data
    } else {
      copier.Keep(BytesToMarker(copier.rest()));
    }
  }
  return copier.kept();
}

// Bounds a decoder's work: it walks over the whole image for each scan, and builds every table. A sequential
// image has at most one scan per component. A progressive one usually has ten; a few hundred are possible,
// one for each bit of each coefficient, but no encoder writes them. All markers count, wherever they are,
// because decoders also look for markers where there should be none.
Status CheckJpeg(Span file) {
  constexpr std::size_t kMaxProgressive = 100;
  constexpr std::size_t kMaxSequential = 16;
  constexpr std::size_t kMaxFrames = 8;  // two fields, previews
  constexpr std::size_t kMaxTableBytes = 256 * 1024;
  std::size_t scans = 0;
  std::size_t max_scans = kMaxProgressive;
  std::size_t frames = 0;
  std::size_t table_bytes = 0;
  for (std::size_t at = 0; at < file.size(); at += BytesToMarker(file.subspan(at))) {
    const std::size_t marker = file[at] == 0xff ? Big(file, at + 1, 1) : 0;
    if (marker == 0xda) ++scans;
    if (marker >= 0xc0 && marker <= 0xc3) ++frames;
    if (marker == 0xc0 || marker == 0xc1 || marker == 0xc3) max_scans = kMaxSequential;
    if (marker == 0xc4 || marker == 0xdb) table_bytes += Big(file, at + 2, 2);
  }
  const auto refuse = [](std::size_t max, const char* what) {
    return Status(StatusCode::kLimit,
                  "a JPEG picture has more than the limit of " + std::to_string(max) + what)
        .With("limit", static_cast<double>(max));
  };
  if (scans > max_scans) return refuse(max_scans, " scans");
  if (frames > kMaxFrames) return refuse(kMaxFrames, " frames");
  if (table_bytes > kMaxTableBytes) return refuse(kMaxTableBytes, " bytes of tables");
  return {};
}

}  // namespace

Result<std::size_t> StripMetadata(ImageFormat format, Span file, std::uint8_t* out) {
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
