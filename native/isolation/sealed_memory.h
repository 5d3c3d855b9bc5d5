// Memory that crosses a process boundary: written once, then sealed by the kernel, so that neither side can
// change or shrink it while the other reads it.
#pragma once

#include <cstdint>
#include <span>

#include "base/descriptor.h"
#include "base/status.h"
#include "media/clip_types.h"

namespace cosmos {

// Copies the parts, one after the other, into sealed memory.
Result<Descriptor> SealedCopy(std::span<const std::span<const std::uint8_t>> parts);

// Maps sealed memory of exactly `bytes` bytes for reading. Fails with kInternal when the descriptor is not
// what SealedCopy made, because reading memory that the other process can shrink, or never wrote, may end
// this one. Fails with kOutOfMemory when this process can map no more.
Result<MediaBytes> MapSealed(const Descriptor& memory, std::int64_t bytes);

// The size of what a descriptor refers to, without fstat, which the decoder's sandbox forbids.
std::int64_t SizeOf(const Descriptor& memory);

}  // namespace cosmos
