#include "media/demux/encryption.h"

#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>

namespace cosmos {
namespace {

std::string FourCharacters(std::uint32_t code) {
  std::string name;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const auto character = static_cast<unsigned char>(code >> shift & 0xff);
    if (std::isalnum(character) == 0) return "unknown";
    name += static_cast<char>(character);
  }
  return name;
}

// Walks the boxes of an mp4 that lead to the types of its video samples.
class BoxWalk {
 public:
  explicit BoxWalk(Source& source) : source_(source) {}

  void Walk(std::int64_t begin, std::int64_t end) {
    while (end - begin >= kHeader && --boxes_left_ > 0) {
      const std::uint32_t type = Number32(begin + 4);
      std::int64_t body = begin + kHeader;
      std::int64_t size = Number32(begin);
      if (size == 1) {
        size = (std::int64_t{Number32(body)} << 32) | Number32(body + 4);
        body += kHeader;
      }
      if (size == 0) size = end - begin;
      if (size < body - begin || size > end - begin) return;
      Visit(type, body, begin + size);
      if (type == Name("moov")) return;
      begin += size;
    }
  }
  bool encrypted() const { return encrypted_; }
  bool clear() const { return clear_; }

 private:
  static constexpr std::int64_t kHeader = 8;

  static constexpr std::uint32_t Name(std::string_view name) {
    return static_cast<std::uint32_t>(name[0]) << 24 | name[1] << 16 | name[2] << 8 | name[3];
  }
  std::uint32_t Number32(std::int64_t position) {
    std::array<std::uint8_t, 4> bytes{};
    return source_.Peek(position, bytes) == bytes.size() ? AV_RB32(bytes.data()) : 0;
  }
  void Visit(std::uint32_t type, std::int64_t begin, std::int64_t end) {
    switch (type) {
      case Name("trak"): is_video_ = false; [[fallthrough]];
      case Name("moov"):
      case Name("mdia"):
      case Name("minf"):
      case Name("stbl"): return Walk(begin, end);
      case Name("hdlr"): is_video_ = is_video_ || Number32(begin + 8) == Name("vide"); return;
      case Name("stsd"): return VisitEntry(Number32(begin + 12));
      default: return;
    }
  }
  void VisitEntry(std::uint32_t kind) {
    // "encv" is Common Encryption and its predecessors, "drmi" is iTunes.
    const bool encrypted = kind == Name("encv") || kind == Name("drmi");
    encrypted_ = encrypted_ || encrypted;
    clear_ = clear_ || (is_video_ && !encrypted);
  }

  Source& source_;
  int boxes_left_ = 10'000;  // bounds the time for files of many tiny boxes
  bool is_video_ = false;
  bool encrypted_ = false;
  bool clear_ = false;
};

bool Has(const AVDictionary* metadata, const char* key) { return av_dict_get(metadata, key, nullptr, 0); }

}  // namespace

bool HasOnlyEncryptedVideo(Source& source) {
  BoxWalk boxes(source);
  boxes.Walk(0, source.size());
  return boxes.encrypted() && !boxes.clear();
}

std::optional<std::string> EncryptionOf(const AVFormatContext& format, const AVStream& stream) {
  if (Has(stream.metadata, "enc_key_id")) return "Matroska's ContentEncryption";
  // FFmpeg reads two encryption objects of an ASF header into these metadata.
  if (std::string_view(format.iformat->name) == "asf" &&
      (Has(format.metadata, "ASF_Protection_Type") || Has(format.metadata, "encryption"))) {
    return "Windows Media DRM";
  }
  return std::nullopt;
}

std::optional<std::string> EncryptionOf(const AVPacket& packet) {
  std::size_t size = 0;
  const std::uint8_t* data = av_packet_get_side_data(&packet, AV_PKT_DATA_ENCRYPTION_INFO, &size);
  if (!data) return std::nullopt;
  AVEncryptionInfo* info = av_encryption_info_get_side_data(data, size);
  std::string scheme = info ? FourCharacters(info->scheme) : "unknown";
  av_encryption_info_free(info);
  return scheme;
}

}  // namespace cosmos
