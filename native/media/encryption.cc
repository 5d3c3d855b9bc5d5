#include "media/encryption.h"

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

bool Has(const AVDictionary* metadata, const char* key) { return av_dict_get(metadata, key, nullptr, 0); }

}  // namespace

std::optional<std::string> EncryptionOf(const AVFormatContext& format, const AVStream& stream) {
  // Sample entries of mp4 whose codec is written inside of them: of Common Encryption and of iTunes.
  constexpr std::uint32_t kCommon = MKTAG('e', 'n', 'c', 'v');
  constexpr std::uint32_t kFairPlay = MKTAG('d', 'r', 'm', 'i');
  if (stream.codecpar->codec_tag == kFairPlay) return "FairPlay";
  // Its packets usually say the scheme; where their tables are missing this entry is all there is.
  if (stream.codecpar->codec_tag == kCommon) return "Common Encryption";
  if (Has(stream.metadata, "enc_key_id")) return "Matroska's ContentEncryption";
  // The two objects of an ASF header that FFmpeg reads, as it notes them.
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
