// Real and awkward files, if available: frames equal those of the ffmpeg command at the same indices.
#include <gtest/gtest.h>

#include "media_support.h"

namespace cosmos::test {
namespace {

struct SharedFile {
  std::string file;
  ReferenceOptions reference = {};
};

void PrintTo(const SharedFile& file, std::ostream* out) { *out << file.file; }

class SharedMedia : public testing::TestWithParam<SharedFile> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << path_ << " is not here; set COSMOS_SHARED_MEDIA";
  }
  std::filesystem::path path_ = SharedFolder() / GetParam().file;
};

TEST_P(SharedMedia, HasTheFramesOfTheFfmpegCommand) {
  const auto expected = ReferenceHashes(path_, GetParam().reference);
  for (const int threads : {1, 2}) {
    for (const int frames : {8, 31}) {
      SCOPED_TRACE(testing::Message() << threads << " threads, " << frames << " frames");
      ClipRequest request = Frames(frames);
      request.threads = threads;
      const DecodedClip clip = ReadClip(MediaPath{path_.string()}, request);
      ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
      for (std::size_t i = 0; i < clip.frames.size(); ++i) {
        EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]) << "frame " << clip.frames[i].index;
      }
    }
  }
}

const ReferenceOptions kHd = {.matrix = "bt709"};

INSTANTIATE_TEST_SUITE_P(
    Media, SharedMedia,
    testing::Values(SharedFile{"street_10s.mp4"}, SharedFile{"bikes.mp4"},
                    SharedFile{"flipping_a_pancake.mkv"},
                    SharedFile{"nasa_13013.mp4", {.stream = "0:3", .matrix = "bt709"}},
                    SharedFile{"nasa_13013_rotated.mp4", {.matrix = "bt709", .filter = ",transpose=cclock"}},
                    SharedFile{"rotated_90.mov", {.matrix = "bt709", .filter = ",transpose=clock"}},
                    SharedFile{"nasa_13013_hdr.mp4", {.matrix = "bt2020"}}, SharedFile{"av1_video.mkv", kHd},
                    SharedFile{"h265_video.mp4"}, SharedFile{"h265_10bits.mp4"},
                    SharedFile{"h264_10bits.mp4"}, SharedFile{"testsrc2_vp8.webm"},
                    SharedFile{"testsrc2_vp9.webm", kHd}, SharedFile{"testsrc2_odd_height_and_width_vp9.mp4"},
                    SharedFile{"testsrc2_odd_height_and_width_444.mp4"},
                    SharedFile{"testsrc2_odd_width_mpeg2.mp4"}, SharedFile{"sine_stereo_mp2.mpg"},
                    SharedFile{"bt601_full_range.mp4", {.range = "pc"}},
                    SharedFile{"bt601_limited_range.mp4"},
                    SharedFile{"bt709_full_range.mp4", {.matrix = "bt709", .range = "pc"}},
                    SharedFile{"discard_first_keyframe.mp4"}, SharedFile{"test_non_zero_start.mp4"},
                    SharedFile{"unordered.mov"}),
    [](const auto& file) {
      std::string name = file.param.file;
      for (char& c : name) c = c == '.' ? '_' : c;
      return name;
    });

// The ffmpeg command would scale all pictures to the first size, so there is nothing to compare with.
TEST(SharedFiles, ASizeThatChangesInMidStream) {
  const auto path = SharedFolder() / "resolution_change.h264";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here; set COSMOS_SHARED_MEDIA";
  const DecodedClip clip = ReadClip(MediaPath{path.string()});
  EXPECT_EQ(clip.report.frame_count, 96);
  for (std::size_t i = 0; i < clip.images.size(); ++i) {
    const bool before = clip.frames[i].index < 49;
    EXPECT_EQ(clip.images[i].width, before ? 848 : 424) << clip.frames[i].index;
    EXPECT_EQ(clip.images[i].height, before ? 464 : 232);
  }
}

TEST(SharedFiles, ADamagedFileDecodesTheSameWithAnyThreadCount) {
  const auto path = SharedFolder() / "corrupted.mp4";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here; set COSMOS_SHARED_MEDIA";
  std::vector<std::string> first;
  for (const int threads : {1, 2, 4}) {
    ClipRequest request = Frames(50);
    request.threads = threads;
    const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
    EXPECT_FALSE(clip.report.warnings.empty());
    std::vector<std::string> hashes;
    for (const RgbImage& image : clip.images) hashes.push_back(Hash(image));
    if (first.empty()) first = hashes;
    EXPECT_EQ(hashes, first) << threads << " threads";
  }
}

}  // namespace
}  // namespace cosmos::test
