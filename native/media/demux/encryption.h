// Detects encrypted video. Nothing is decrypted here: encrypted streams are refused, since decoders would
// turn them into pictures of noise.
#pragma once

#include <optional>
#include <string>

#include "ffmpeg/ffmpeg.h"
#include "media/demux/source.h"

namespace cosmos {

// Whether all video in the sample tables of an mp4 is encrypted. FFmpeg reads the codec from these tables but
// not that it was encrypted, and it knows only one of the schemes.
bool HasOnlyEncryptedVideo(Source& source);

// The encryption of a stream in formats other than mp4, if the header declares one.
std::optional<std::string> EncryptionOf(const AVFormatContext& format, const AVStream& stream);

// The encryption scheme of a packet, e.g. "cenc", if the tables of an mp4 declare one: a stream may begin in
// the clear.
std::optional<std::string> EncryptionOf(const AVPacket& packet);

}  // namespace cosmos
