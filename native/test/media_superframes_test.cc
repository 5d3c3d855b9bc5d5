// Superframes of VP9: packets that begin with a hidden picture, and may end with a shown one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "media/bitstream/access_unit.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

// Two passes make hidden pictures that look ahead, each in a superframe with the picture that is shown. Noise
// makes them larger than what an index from the tables of an mp4 reads of a sample.
std::filesystem::path WithHiddenPictures(const std::string& name) {
  const std::string log = (ScratchFolder() / "superframes").string();
  const std::string source =
      "-f lavfi -i testsrc2=s=320x240:r=25:d=3,noise=alls=20:allf=t -c:v libvpx-vp9 -b:v 900k -g 40 "
      "-deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 25 -passlogfile '" +
      log + "' ";
  MakeClip(name + ".null", source + "-pass 1 -f null -y");
  return MakeClip(name, source + "-pass 2");
}

TEST(Superframes, HaveTheirShownPictureInTheIndexOfAnMp4) {
  const std::filesystem::path path = WithHiddenPictures("superframes.mp4");
  const std::vector<std::string> expected = ReferenceHashes(path);
  ASSERT_EQ(expected.size(), 75U);
  const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(static_cast<int>(expected.size())));
  ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(Hash(clip.images[i]), expected[i]) << i;
  EXPECT_TRUE(clip.report.warnings.empty());
}

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kHidden = 0x84;  // the first byte of an inter picture of profile 0
constexpr std::uint8_t kShown = 0x86;
constexpr std::uint8_t kIndexOfTwo = 0xc1;  // two pictures, whose sizes have one byte each
constexpr std::size_t kPicture = 100;

Bytes Pictures(std::uint8_t first, std::uint8_t second, const Bytes& end) {
  Bytes packet(2 * kPicture, 0);
  packet[0] = first;
  packet[kPicture] = second;
  packet.insert(packet.end(), end.begin(), end.end());
  return packet;
}

AccessUnit Read(Bytes bytes, std::int64_t known, bool with_end) {
  AVPacket packet{};
  packet.data = bytes.data();
  packet.size = static_cast<int>(bytes.size());
  const std::span end = std::span(bytes).last(AccessUnitReader::kEndBytes);
  return AccessUnitReader(AV_CODEC_ID_VP9).Read(packet, known, with_end ? end : std::span<std::uint8_t>());
}

AccessUnit Read(const Bytes& bytes) { return Read(bytes, static_cast<std::int64_t>(bytes.size()), false); }

TEST(Superframes, AreToldByTheirIndex) {
  const Bytes index = {kIndexOfTwo, kPicture, kPicture, kIndexOfTwo};
  EXPECT_FALSE(Read(Pictures(kHidden, kShown, index)).hidden);
  EXPECT_FALSE(Read(Pictures(kShown, kHidden, index)).hidden);
  EXPECT_TRUE(Read(Pictures(kHidden, kHidden, index)).hidden);
  // The last byte of a picture alone is no index.
  EXPECT_TRUE(Read(Pictures(kHidden, kShown, {0, kPicture, kPicture, kIndexOfTwo})).hidden);
  EXPECT_TRUE(Read(Bytes{kHidden, kIndexOfTwo}).hidden);
  // Decoders refuse these sizes, so the picture is damaged rather than hidden.
  for (const int size : {0, 101}) {
    const Bytes wrong = {kIndexOfTwo, kPicture, static_cast<std::uint8_t>(size), kIndexOfTwo};
    EXPECT_FALSE(Read(Pictures(kHidden, kHidden, wrong)).hidden);
  }
}

TEST(Superframes, AreNotJudgedByTheirBeginning) {
  const Bytes index = {kIndexOfTwo, kPicture, kPicture, kIndexOfTwo};
  Bytes looks_like_one = Pictures(kHidden, kShown, index);
  looks_like_one[kPicture / 2 - 1] = kIndexOfTwo;
  for (const Bytes& packet : {Pictures(kHidden, kShown, index), looks_like_one}) {
    const AccessUnit head = Read(packet, kPicture / 2, false);
    EXPECT_FALSE(head.read);
    EXPECT_FALSE(head.hidden);
    const AccessUnit both = Read(packet, kPicture / 2, true);
    EXPECT_TRUE(both.read);
    EXPECT_FALSE(both.hidden);
  }
  EXPECT_TRUE(Read(Pictures(kShown, kHidden, index), kPicture / 2, false).read);
  const AccessUnit alone = Read(Pictures(kHidden, kShown, {}), kPicture / 2, true);
  EXPECT_TRUE(alone.read);
  EXPECT_TRUE(alone.hidden);
}

}  // namespace
}  // namespace cosmos::test
