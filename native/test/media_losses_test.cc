// Files with missing packets: libavcodec substitutes other pictures for them and only reports it in its log.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "containers.h"
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

// Pictures that do not name their references. Each has its number in presentation order or its time.
class LostReference : public testing::TestWithParam<Loss> {};

TEST_P(LostReference, IsReported) {
  const std::string name = GetParam().name;
  const auto whole = MakeClip("lost_" + name + ".mkv",
                              "-f lavfi -i testsrc2=s=96x64:r=25:d=1.8 " + std::string(GetParam().codec));
  const DecodedClip recorded = ReadClip(MediaPath{whole.string()}, Frames(kFrames));
  EXPECT_EQ(recorded.report.damaged, 0);
  EXPECT_TRUE(recorded.report.warnings.empty());
  const bool late_one = !name.ends_with("_p");
  int changed_clips = 0;
  for (const int lost : {4, 16, 17, 22, 43}) {
    SCOPED_TRACE(testing::Message() << "without packet " << lost);
    const auto [path, expected] = WithoutPacket(whole, "lost_" + name + std::to_string(lost) + ".mkv", lost);
    for (const auto& [threads, start] : {std::pair{1, 0.0}, {3, 0.0}, {1, 1.0}}) {
      ClipRequest request = Frames(kFrames);
      request.threads = threads;
      request.start = start;
      const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
      int changed = 0;
      for (std::size_t i = 0; i < clip.images.size(); ++i) {
        const auto frame = static_cast<std::size_t>(clip.frames[i].index) + expected.size() -
                           static_cast<std::size_t>(clip.report.frame_count);
        changed += Hash(clip.images[i]) != expected.at(frame) ? 1 : 0;
      }
      // B pictures whose reference is missing come out before the intact picture that they should follow.
      EXPECT_GE(clip.report.damaged + (late_one ? 1 : 0), changed) << threads << " threads from " << start;
      EXPECT_TRUE(changed == 0 || clip.report.damaged > 0);
      EXPECT_LE(clip.report.damaged, 2 * kGroup + 4);
      EXPECT_EQ(clip.report.warnings.empty(), clip.report.damaged == 0);
      changed_clips += changed > 0 ? 1 : 0;
    }
  }
  EXPECT_GT(changed_clips, 2);
}

INSTANTIATE_TEST_SUITE_P(
    MediaDamage, LostReference,
    testing::Values(Loss{"mpeg1_p", "-c:v mpeg1video -g 15"},
                    Loss{"mpeg1_b", "-c:v mpeg1video -g 15 -bf 2 -sc_threshold 1000000000"},
                    Loss{"mpeg2_p", "-c:v mpeg2video -g 15"},
                    Loss{"mpeg2_b", "-c:v mpeg2video -g 15 -bf 2 -b_strategy 0 -sc_threshold 1000000000"},
                    Loss{"mpeg2_closed",
                         "-c:v mpeg2video -g 15 -bf 2 -flags +cgop -b_strategy 0 -sc_threshold 1000000000"},
                    Loss{"mpeg4_b", "-c:v mpeg4 -g 15 -bf 2 -b_strategy 0 -sc_threshold 1000000000"},
                    Loss{"xvid_p", "-c:v libxvid -g 15 -bf 0"}),
    [](const auto& loss) { return std::string(loss.param.name); });

// Only the transport stream's counters tell that a picture of MPEG-4 without B pictures is missing.
TEST(MediaDamage, AGapInATransportStreamIsReported) {
  constexpr std::size_t kPacket = 188;
  const auto whole = MakeClip("gap.ts", "-f lavfi -i testsrc2=s=96x64:r=25:d=1.8 -c:v mpeg4 -g 15 -bf 0");
  const auto frames = ReferenceHashes(whole);
  const Bytes bytes = ReadFile(whole);
  EXPECT_TRUE(ReadClip(Borrow(bytes), Frames(kFrames)).report.warnings.empty());
  // FFmpeg's first video stream has this id; a flag marks the packets that a picture begins in.
  const auto is_video = [&](std::size_t at) { return (bytes[at + 1] & 0x1f) == 1 && bytes[at + 2] == 0; };
  const auto begins = [&](std::size_t at) { return is_video(at) && (bytes[at + 1] & 0x40) != 0; };
  for (const int lost : {4, 17, 22, 30, 36}) {
    SCOPED_TRACE(testing::Message() << "without picture " << lost);
    Bytes damaged;
    int picture = -1;
    for (std::size_t at = 0; at < bytes.size(); at += kPacket) {
      picture += begins(at) ? 1 : 0;
      if (is_video(at) && picture == lost) continue;
      damaged.insert(damaged.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                     bytes.begin() + static_cast<std::ptrdiff_t>(at + kPacket));
    }
    auto expected = frames;
    expected.erase(expected.begin() + lost);
    const DecodedClip clip = ReadClip(Borrow(damaged), Frames(kFrames - 1));
    ASSERT_EQ(clip.report.frame_count, kFrames - 1);
    int changed = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) changed += Hash(clip.images[i]) != expected[i] ? 1 : 0;
    EXPECT_GT(changed, 0);
    EXPECT_GE(clip.report.damaged, changed);
    EXPECT_LT(clip.report.damaged, 2 * kGroup + 2);
  }
  // The parts of a joined recording follow each other with a gap that no picture suffers from.
  Bytes joined = bytes;
  joined.insert(joined.end(), bytes.begin(), bytes.end());
  const DecodedClip clip = ReadClip(Borrow(joined), Frames(2 * kFrames));
  EXPECT_EQ(clip.report.frame_count, 2 * kFrames);
  EXPECT_TRUE(clip.report.warnings.empty()) << clip.report.warnings.front();
}

}  // namespace
}  // namespace cosmos::test
