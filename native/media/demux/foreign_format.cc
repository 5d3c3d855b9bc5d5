#include "media/demux/foreign_format.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace cosmos {
namespace {

constexpr std::string_view kAsFrames = ", not a video: pass pictures as `frames`";
constexpr std::string_view kConvertPicture =
    ", not a video: convert it to JPEG, PNG or WebP, and pass pictures as `frames`";
constexpr std::string_view kConvertVideo = ", which is not read: convert it, for example to MP4 with ffmpeg";

struct Signature {
  std::size_t at;
  std::string_view bytes;
  std::string_view name;
  std::string_view remedy;
};

constexpr std::array kSignatures = {
    Signature{0, "\xff\xd8\xff", "a JPEG picture or a bare sequence of them",
              ", not a video: pass pictures as `frames`, or put the sequence into AVI or MP4"},
    Signature{0, "\x89PNG", "a PNG picture", kAsFrames},
    Signature{0, "BM", "a BMP picture", kConvertPicture},
    Signature{0, "\xff\x0a", "a JPEG XL picture", kConvertPicture},
    Signature{4, "JXL \r\n", "a JPEG XL picture", kConvertPicture},
    Signature{4, "ftyphei", "a HEIC picture or sequence", kConvertPicture},
    Signature{4, "ftyphev", "a HEIC sequence of pictures", kConvertVideo},
    Signature{4, "ftypmif1", "a HEIF picture", kConvertPicture},
    Signature{4, "ftypmsf1", "a HEIF sequence of pictures", kConvertVideo},
    Signature{0, "#EXTM3U", "an HLS playlist", ": pass the video that it lists, not the list"},
    Signature{0, "<MPD", "a DASH manifest", ": pass the video that it lists, not the manifest"},
    Signature{0, "ffconcat", "a list of files", ": pass the videos that it lists, not the list"},
    Signature{0, "\x06\x0e\x2b\x34", "an MXF file", kConvertVideo},
    Signature{0, ".RMF", "a RealMedia file", kConvertVideo},
    Signature{0, "FWS", "a Flash program", kConvertVideo},
    Signature{0, "CWS", "a Flash program", kConvertVideo},
    Signature{0, "%PDF", "a PDF document", ", not a video"},
    Signature{0, "PK\x03\x04", "a ZIP archive", ": unpack the videos in it"},
    Signature{0, "\x1f\x8b", "a gzip archive", ": unpack the video in it"},
    Signature{0, "<!DOCTYPE", "an HTML page", ", not a video: check the address that it was loaded from"},
    Signature{0, "<html", "an HTML page", ", not a video: check the address that it was loaded from"},
};

bool HasAt(std::string_view text, std::size_t at, std::string_view bytes) {
  return text.size() >= at + bytes.size() && text.substr(at, bytes.size()) == bytes;
}

std::string Webp(std::string_view text) {
  // VP8X with the flag of an animation.
  constexpr std::size_t kFlags = 20;
  constexpr char kAnimated = 2;
  const bool animated = HasAt(text, 12, "VP8X") && text.size() > kFlags && (text[kFlags] & kAnimated) != 0;
  return animated ? "an animated WebP, which FFmpeg cannot read: convert it to MP4, WebM or GIF"
                  : "a WebP picture" + std::string(kAsFrames);
}

}  // namespace

std::string DescribeForeignFormat(std::span<const std::uint8_t> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  if (HasAt(text, 0, "RIFF") && HasAt(text, 8, "WEBP")) return Webp(text);
  const auto found = std::ranges::find_if(
      kSignatures, [&](const Signature& signature) { return HasAt(text, signature.at, signature.bytes); });
  return found == kSignatures.end() ? std::string() : std::string(found->name) + std::string(found->remedy);
}

}  // namespace cosmos
