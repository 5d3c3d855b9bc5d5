// A damaged picture at the beginning of a range or a window: another of the same range stands in for it, and
// the report is one that a caller can use, with and without a decoder process.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "isolation/decoder_pool.h"
#include "media_support.h"
#include "remux.h"

namespace cosmos::test {
namespace {

struct Damage {
  const char* name;
  const char* codec;
  int intact;          // bytes at the beginning of the damaged packet, so that it still counts as a picture
  std::uint8_t value;  // of the others
};

constexpr int kDamaged = 25;  // the packet, and the frame at 1 s

class DamagedAtTheStart : public testing::TestWithParam<Damage> {
 protected:
  void SetUp() override {
    const Damage& damage = GetParam();
    const std::string name = damage.name;
    const auto whole =
        MakeClip("start_" + name, "-f lavfi -i testsrc2=s=160x120:r=25:d=3 " + std::string(damage.codec));
    video_ =
        MediaPath{Remux(whole, "damaged_start_" + name, [&](AVPacket& packet, int number, const auto& write) {
                    if (number == kDamaged) {
                      ASSERT_GE(av_packet_make_writable(&packet), 0);
                      std::fill(packet.data + damage.intact, packet.data + packet.size, damage.value);
                    }
                    write(packet);
                  }).string()};
  }

  // The clips of this process, after comparing them with those of a decoder process.
  std::vector<DecodedClip> ClipsOf(const ClipRequest& request, const std::optional<Windows>& windows = {}) {
    std::vector<DecodedClip> clips = ReadClips(video_, request, windows);
    auto pool =
        DecoderPool::Open({.executable = COSMOS_DECODER, .max_bytes = std::int64_t{2} << 30, .idle = 1});
    EXPECT_TRUE(pool.ok()) << pool.status().message();
    if (!pool.ok()) return clips;
    auto reader = pool.value()->OpenReader(video_, request, windows, nullptr);
    EXPECT_TRUE(reader.ok()) << reader.status().message();
    if (!reader.ok()) return clips;
    for (const DecodedClip& own : clips) {
      auto isolated = reader.value()->Next(nullptr);
      EXPECT_TRUE(isolated.ok() && isolated.value()) << isolated.status().message();
      if (!isolated.ok() || !isolated.value()) return clips;
      const DecodedClip& other = *isolated.value();
      EXPECT_EQ(std::memcmp(other.clip->data(), own.clip->data(), own.clip->shape().bytes()), 0);
      EXPECT_EQ(other.report.warnings, own.report.warnings);
      for (std::size_t i = 0; i < own.frames.size(); ++i) {
        EXPECT_EQ(other.frames[i].index, own.frames[i].index);
        EXPECT_EQ(other.frames[i].pts, own.frames[i].pts);
        EXPECT_EQ(other.frames[i].keyframe, own.frames[i].keyframe);
      }
    }
    EXPECT_EQ(pool.value()->stats().crashed, 0);
    return clips;
  }

  MediaPath video_;
};

void ExpectWithin(const DecodedClip& clip) {
  for (const FrameInfo& frame : clip.frames) {
    EXPECT_GE(frame.index, 0);
    EXPECT_LT(frame.index, clip.report.frame_count);
    EXPECT_GE(frame.pts, clip.start - 1e-9);
    EXPECT_LT(frame.pts, clip.end);
  }
}

TEST_P(DamagedAtTheStart, HasASubstituteFromWithinTheRange) {
  ClipRequest request = Frames(4);
  request.start = 1;
  request.keep_images = true;
  const std::vector<DecodedClip> clips = ClipsOf(request);
  ASSERT_EQ(clips.size(), 1U);
  const DecodedClip& clip = clips[0];
  ExpectWithin(clip);
  EXPECT_GT(clip.report.damaged, 0);
  EXPECT_EQ(clip.report.frame_count, 50);
  // It says which frame it is.
  EXPECT_GT(clip.frames[0].index, 0);
  ClipRequest same = Frames(1);
  same.start = 1;
  same.frame_rule = FrameIndices{{static_cast<int>(clip.frames[0].index)}};
  const DecodedClip alone = ReadClip(video_, same);
  EXPECT_EQ(alone.frames[0].index, clip.frames[0].index);
  EXPECT_EQ(Hash(alone.images[0]), Hash(clip.images[0]));
}

TEST_P(DamagedAtTheStart, HasAValidReportWhenTheRangeHasNoOtherFrame) {
  ClipRequest request = Frames(2);
  request.start = 1;
  request.end = 1.04;
  const std::vector<DecodedClip> clips = ClipsOf(request);
  ASSERT_EQ(clips.size(), 1U);
  ExpectWithin(clips[0]);
  EXPECT_EQ(clips[0].report.damaged, 2);
  EXPECT_EQ(clips[0].frames[1].index, 0);
}

TEST_P(DamagedAtTheStart, HasASubstituteFromWithinItsWindow) {
  for (const double stride : {1.0, 0.5}) {
    const std::vector<DecodedClip> clips = ClipsOf(Frames(4), Windows{.seconds = 1, .stride = stride});
    ASSERT_GE(clips.size(), 3U);
    int damaged = 0;
    for (const DecodedClip& clip : clips) {
      SCOPED_TRACE(testing::Message() << "window at " << clip.start);
      ExpectWithin(clip);
      damaged += clip.report.damaged;
    }
    EXPECT_GT(damaged, 0);
  }
  // One frame each, so that no window but that of the damaged frame decodes another of its own.
  for (const DecodedClip& clip : ClipsOf(Frames(1), Windows{.cuts = std::vector{1.0, 1.04, 2.0}})) {
    ExpectWithin(clip);
  }
}

INSTANTIATE_TEST_SUITE_P(
    MediaDamage, DamagedAtTheStart,
    testing::Values(Damage{"h264.mp4", "-c:v libx264 -bf 0 -g 50 -refs 1", 5, 0},
                    Damage{"mjpeg.mov", "-c:v mjpeg", 0, 0xff},
                    Damage{"vp9.webm", "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -g 50", 0, 0xff},
                    Damage{"ffv1.mkv", "-c:v ffv1 -level 3 -g 1 -slicecrc 1", 0, 0xff}),
    [](const auto& damage) {
      std::string name = damage.param.name;
      std::ranges::replace(name, '.', '_');
      return name;
    });

}  // namespace
}  // namespace cosmos::test
