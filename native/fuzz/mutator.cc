#include "fuzz/mutator.h"

#include <algorithm>
#include <array>

namespace cosmos::fuzz {
namespace {

// Values at which counts, sizes and times go wrong.
constexpr std::array<std::uint64_t, 12> kEdges = {0,
                                                  1,
                                                  0x7f,
                                                  0xff,
                                                  0x7fff,
                                                  0xffff,
                                                  0xffffff,
                                                  0x0fffffff,
                                                  0x7fffffff,
                                                  0xffffffff,
                                                  0x7fffffffffffffff,
                                                  0xffffffffffffffff};
// Headers and tables are at either end of a file.
constexpr std::size_t kEnd = 1500;
constexpr std::size_t kMaxBlock = 512;

}  // namespace

std::vector<std::uint8_t> Mutator::Mutate(std::span<const std::uint8_t> input,
                                          std::span<const std::uint8_t> other) {
  File file(input.begin(), input.end());
  for (std::size_t changes = 1 + Below(4); changes > 0; --changes) {
    if (file.size() < 16) return file;
    switch (Below(10)) {
      case 0:
      case 1: FlipBits(file); break;
      case 2:
      case 3:
      case 4: WriteNumber(file); break;
      case 5: AddToNumber(file); break;
      case 6: Move(file, File(file)); break;
      case 7: Move(file, other.empty() ? input : other); break;
      case 8: Remove(file); break;
      default: Fill(file); break;
    }
  }
  return file;
}

std::size_t Mutator::Position(const File& file, std::size_t bytes) {
  const std::size_t last = file.size() - std::min(file.size(), bytes);
  const std::size_t place = Below(3);
  if (place == 0 || last <= kEnd) return Below(last + 1);
  return place == 1 ? Below(kEnd) : last - Below(kEnd);
}

void Mutator::FlipBits(File& file) {
  for (std::size_t count = 1 + Below(8); count > 0; --count) {
    file[Position(file, 1)] ^= static_cast<std::uint8_t>(1U << Below(8));
  }
}

void Mutator::WriteNumber(File& file) {
  const std::size_t width = std::size_t{1} << Below(4);
  const std::size_t at = Position(file, width);
  const std::uint64_t value = kEdges[Below(kEdges.size())];
  const bool little = Below(2) == 0;
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (little ? i : width - 1 - i);
    file[at + i] = static_cast<std::uint8_t>(value >> shift);
  }
}

void Mutator::AddToNumber(File& file) {
  auto& byte = file[Position(file, 1)];
  byte = static_cast<std::uint8_t>(byte + Below(17) - 8);
}

// Inserts a block or writes it over others.
void Mutator::Move(File& file, std::span<const std::uint8_t> from) {
  const std::size_t size = 1 + Below(std::min(kMaxBlock, from.size()));
  const auto block = from.subspan(Below(from.size() - size + 1), size);
  const std::size_t at = Position(file, size);
  if (Below(2) == 0) {
    file.insert(file.begin() + static_cast<std::ptrdiff_t>(at), block.begin(), block.end());
  } else {
    std::ranges::copy(block.first(std::min(size, file.size() - at)),
                      file.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

// Removes a block, or everything after a place.
void Mutator::Remove(File& file) {
  const auto at = static_cast<std::ptrdiff_t>(Position(file, 1));
  const auto end = Below(4) == 0 ? file.size() : std::min(file.size(), at + 1 + Below(kMaxBlock));
  file.erase(file.begin() + at, file.begin() + static_cast<std::ptrdiff_t>(end));
}

void Mutator::Fill(File& file) {
  const std::size_t size = std::min(file.size(), 1 + Below(64));
  const std::size_t at = Position(file, size);
  const auto value = static_cast<std::uint8_t>(Below(2) == 0 ? 0 : Below(256));
  std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at), size, value);
}

}  // namespace cosmos::fuzz
