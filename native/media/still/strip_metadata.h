// Reduces the file of a still image to the parts that its pixels need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "media/still/image_header.h"

namespace cosmos {

// Copies those parts to `out` and returns their size in bytes. `out` has room for the whole file, or is the
// file itself. Text, profiles, EXIF and the like are dropped: decoders unpack and keep them all, without a
// limit. Fails with kLimit when the pixels alone would take a decoder too long.
Result<std::size_t> StripMetadata(ImageFormat format, std::span<const std::uint8_t> file, std::uint8_t* out);

}  // namespace cosmos
