// Whether a container says that its pictures are encrypted. Nothing here decrypts: what is encrypted is refused,
// since a decoder would make pictures of noise out of it.
#pragma once

#include <optional>
#include <string>

#include "media/ffmpeg.h"

namespace cosmos {

// The name of the scheme, e.g. "cenc", where the header of the file says that the stream is encrypted.
std::optional<std::string> EncryptionOf(const AVFormatContext& format, const AVStream& stream);

// Where the tables of an mp4 say it of this packet: a stream may begin in the clear.
std::optional<std::string> EncryptionOf(const AVPacket& packet);

}  // namespace cosmos
