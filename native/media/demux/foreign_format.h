// Recognises files that are often taken for videos and are none that this library reads, to say what would
// help.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace cosmos {

// How many of a file's first bytes are looked at.
inline constexpr std::size_t kForeignHead = 64;

// What the file is and what to do with it, as the end of a sentence that begins with "this is ". Empty when
// unknown.
std::string DescribeForeignFormat(std::span<const std::uint8_t> head);

}  // namespace cosmos
