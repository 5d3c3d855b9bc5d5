// What the fuzz targets found, each as a file that is generated: docs/security.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "media_support.h"

namespace cosmos::test {
namespace {

using File = std::vector<std::uint8_t>;

// Overwrites what follows the only place of `pattern`.
template <std::size_t Length>
void WriteAfter(File& file, const std::array<std::uint8_t, Length>& pattern, std::uint8_t value) {
  const auto found = std::ranges::search(file, pattern);
  ASSERT_FALSE(found.empty());
  *found.end() = value;
}

// FFmpeg copies the number into a field of an enumerated type, and C++ must not load what the type lacks.
TEST(FuzzFindings, AColourMatrixThatNoStandardDefinesIsUnspecified) {
  const auto path = MakeClip(
      "tagged.mkv", "-f lavfi -i testsrc2=s=64x48:r=10:d=0.5 -c:v mpeg4 -colorspace bt709 -color_range pc");
  constexpr std::array<std::uint8_t, 3> kMatrix = {0x55, 0xb1, 0x81};
  constexpr std::array<std::uint8_t, 3> kRange = {0x55, 0xb9, 0x81};
  File file = ReadFile(path);
  const DecodedClip tagged = ReadClip(Borrow(file));
  WriteAfter(file, kMatrix, 2);  // unspecified
  WriteAfter(file, kRange, 0);
  const DecodedClip expected = ReadClip(Borrow(file));
  EXPECT_NE(Hash(expected.images.at(0)), Hash(tagged.images.at(0)));
  WriteAfter(file, kMatrix, 116);
  WriteAfter(file, kRange, 9);
  const DecodedClip clip = ReadClip(Borrow(file));
  ASSERT_EQ(clip.images.size(), expected.images.size());
  for (std::size_t i = 0; i < clip.images.size(); ++i)
    EXPECT_EQ(Hash(clip.images[i]), Hash(expected.images[i]));
}

}  // namespace
}  // namespace cosmos::test
