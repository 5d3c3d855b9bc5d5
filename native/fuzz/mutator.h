// Changes media at random, always in the same way for the same seed. libFuzzer has a better mutator of its
// own; this one needs no special compiler, so the tests and the replay programs use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace cosmos::fuzz {

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  // A copy of `input` with one to four changes. `other` is a second file to take parts from; it may be empty.
  std::vector<std::uint8_t> Mutate(std::span<const std::uint8_t> input, std::span<const std::uint8_t> other);

  // From 0 to `count` - 1; `count` is at least 1. Not std::uniform_int_distribution, whose values depend on
  // the library.
  std::size_t Below(std::size_t count) { return random_() % count; }

 private:
  using File = std::vector<std::uint8_t>;

  std::size_t Position(const File& file, std::size_t bytes);
  void FlipBits(File& file);
  void WriteNumber(File& file);
  void AddToNumber(File& file);
  void Move(File& file, std::span<const std::uint8_t> from);
  void Remove(File& file);
  void Fill(File& file);

  std::mt19937 random_;
};

}  // namespace cosmos::fuzz
