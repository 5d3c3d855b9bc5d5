// Whether a container says that its pictures are encrypted. Nothing here decrypts: what is encrypted is
// refused, since a decoder would make pictures of noise out of it.
#pragma once

#include <optional>
#include <string>

#include "ffmpeg/ffmpeg.h"
#include "media/demux/source.h"

namespace cosmos {

// Whether the sample tables of an mp4 know encrypted video and no other. FFmpeg looks into these tables for
// the codec and forgets what they were, and of the schemes it knows one.
bool HasOnlyEncryptedVideo(Source& source);

// What encrypts the stream, where the header of a file that is no mp4 says so.
std::optional<std::string> EncryptionOf(const AVFormatContext& format, const AVStream& stream);

// The scheme, e.g. "cenc", where the tables of an mp4 say it of this packet: a stream may begin in the clear.
std::optional<std::string> EncryptionOf(const AVPacket& packet);

}  // namespace cosmos
