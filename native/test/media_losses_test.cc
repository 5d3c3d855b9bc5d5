// Files with missing packets: libavcodec substitutes other pictures for them and only reports it in its log.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "media_support.h"
#include "remux.h"

namespace cosmos::test {
namespace {

struct Loss {
  const char* name;
  const char* codec;
};

class LostPacket : public testing::TestWithParam<Loss> {};

constexpr int kGroup = 15;
constexpr int kFrames = 45;

struct DamagedClip {
  std::filesystem::path path;
  std::vector<std::string> expected;  // the frames if no picture referred to the lost one
};

DamagedClip WithoutPacket(const std::filesystem::path& whole, const std::string& name, int lost) {
  std::vector<std::int64_t> times;
  const auto path = Remux(whole, name, [&](AVPacket& packet, int number, const auto& write) {
    times.push_back(packet.pts);
    if (number != lost) write(packet);
  });
  DamagedClip damaged{path, ReferenceHashes(whole)};
  const std::int64_t time = times[lost];
  const auto rank = std::ranges::count_if(times, [&](std::int64_t other) { return other < time; });
  damaged.expected.erase(damaged.expected.begin() + rank);
  return damaged;
}

// Every frame that differs from the recording is counted, and no other.
TEST_P(LostPacket, IsReportedWhenOthersReferToIt) {
  const std::string name = GetParam().name;
  const auto whole = MakeClip("loss_" + name + ".mp4",
                              "-f lavfi -i testsrc2=s=96x64:r=25:d=1.8 " + std::string(GetParam().codec));
  int changed_clips = 0;
  int whole_clips = 0;
  for (const int lost : {4, 17, 21, 22, 23, 24}) {
    SCOPED_TRACE(testing::Message() << "without packet " << lost);
    const auto [path, expected] = WithoutPacket(whole, "loss_" + name + std::to_string(lost) + ".mkv", lost);
    for (const int threads : {1, 3}) {
      ClipRequest request = Frames(kFrames - 1);
      request.threads = threads;
      const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
      ASSERT_EQ(clip.report.frame_count, kFrames - 1);
      int changed = 0;
      for (std::size_t i = 0; i < expected.size(); ++i)
        changed += Hash(clip.images[i]) != expected[i] ? 1 : 0;
      EXPECT_GE(clip.report.damaged, changed);
      EXPECT_LT(clip.report.damaged, kGroup + 4);
      EXPECT_EQ(clip.report.damaged > 0, changed > 0);
      EXPECT_EQ(clip.report.warnings.empty(), changed == 0);
      (changed > 0 ? changed_clips : whole_clips) += 1;
    }
  }
  EXPECT_GT(changed_clips, 0);
  EXPECT_TRUE(whole_clips > 0 || name.ends_with("_p"));
}

INSTANTIATE_TEST_SUITE_P(
    MediaDamage, LostPacket,
    testing::Values(
        Loss{"h264_p", "-c:v libx264 -bf 0 -g 15 -refs 1"},
        Loss{"h264_b", "-c:v libx264 -bf 3 -b_strategy 0 -g 15 -refs 3 -sc_threshold 0"},
        Loss{"h264_flat", "-c:v libx264 -bf 2 -b_strategy 0 -g 15 -x264opts b-pyramid=none:weightp=2"},
        Loss{"hevc_p", "-c:v libx265 -x265-params log-level=none:bframes=0:keyint=15"},
        Loss{"hevc_b", "-c:v libx265 -x265-params log-level=none:bframes=3:b-adapt=0:keyint=15:open-gop=0"},
        Loss{"hevc_open", "-c:v libx265 -x265-params log-level=none:bframes=3:b-adapt=0:keyint=15:ref=4"}),
    [](const auto& loss) { return std::string(loss.param.name); });

}  // namespace
}  // namespace cosmos::test
