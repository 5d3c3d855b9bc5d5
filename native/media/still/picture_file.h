// A still picture's file, without what does not make up its pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "media/still/image_header.h"

namespace cosmos {

// Copies the parts that a decoder needs for the pixels to `out`, and says how many bytes that are. `out` has
// room for the file, or is the file. Texts, profiles, EXIF and the like stay behind: decoders unpack them
// whole and keep them in lists, whatever they ask for. Fails with kLimit where the pixels alone would take a
// decoder too long.
Result<std::size_t> CopyPixels(ImageFormat format, std::span<const std::uint8_t> file, std::uint8_t* out);

}  // namespace cosmos
