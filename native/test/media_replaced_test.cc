// A file that is replaced by another of the same name while its video is decoded.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "containers.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

namespace fs = std::filesystem;

// A recording whose times repeat, so that decoding begins by opening the file again.
fs::path Joined(const std::string& name, const std::string& filter) {
  const Bytes part = ReadFile(MakeClip(
      "part_" + name, "-f lavfi -i testsrc2=s=96x64:r=25:d=1" + filter + " -c:v mpeg2video -bf 0 -q:v 3"));
  Bytes joined = part;
  joined.insert(joined.end(), part.begin(), part.end());
  return WriteFile(name, joined);
}

TEST(ReplacedFile, IsReadAsItWasWhenTheVideoWasOpened) {
  const fs::path path = Joined("replaced.ts", "");
  const fs::path other = Joined("other.ts", ",negate");
  const ClipRequest request = Frames(4);
  for (const auto& windows : {std::optional<Windows>(), std::optional(Windows{.seconds = 0.5, .stride = 0.5}),
                              std::optional(Windows{.shots = ShotOptions{}})}) {
    const std::vector<DecodedClip> expected = ReadClips(MediaPath{path.string()}, request, windows);
    const fs::path named = ScratchFolder() / "named.ts";
    const fs::path next = ScratchFolder() / "next.ts";
    fs::copy_file(path, named, fs::copy_options::overwrite_existing);
    fs::copy_file(other, next, fs::copy_options::overwrite_existing);
    auto reader = ClipReader::Open(MediaPath{named.string()}, request, windows, nullptr);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    fs::rename(next, named);
    for (const DecodedClip& own : expected) {
      auto clip = reader.value()->Next(nullptr);
      ASSERT_TRUE(clip.ok() && clip.value()) << clip.status().message();
      const DecodedClip& read = *clip.value();
      EXPECT_EQ(std::memcmp(read.clip->data(), own.clip->data(), own.clip->shape().bytes()), 0);
    }
  }
}

}  // namespace
}  // namespace cosmos::test
