// Reads the headers of MPEG-4 Visual.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace cosmos {

// What a video object layer says about times.
struct Mpeg4Layer {
  std::uint32_t resolution = 0;       // ticks of a second
  int time_bits = 0;                  // of vop_time_increment
  std::uint32_t fixed_increment = 0;  // ticks from picture to picture; 0: they vary
};

enum class Mpeg4Type { kI, kP, kB, kS };

struct Mpeg4Picture {
  Mpeg4Type type = Mpeg4Type::kI;
  std::uint32_t seconds = 0;    // modulo_time_base
  std::uint32_t increment = 0;  // vop_time_increment
  // False: it has no data and repeats the previous picture.
  bool coded = true;
};

// Both take the bytes after the prefix of a start code.
std::optional<Mpeg4Layer> ReadMpeg4Layer(std::span<const std::uint8_t> layer);
Mpeg4Picture ReadMpeg4Picture(std::span<const std::uint8_t> picture, int time_bits);

// Types of start codes.
namespace mpeg4 {
inline constexpr std::uint8_t kFirstLayer = 0x20;
inline constexpr std::uint8_t kLastLayer = 0x2f;
inline constexpr std::uint8_t kGroup = 0xb3;
inline constexpr std::uint8_t kPicture = 0xb6;
}  // namespace mpeg4

}  // namespace cosmos
