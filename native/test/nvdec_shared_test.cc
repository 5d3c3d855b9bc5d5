// Real and unusual files through NVDEC's double: the same clip as on the CPU, and the expected decoder.
#include <gtest/gtest.h>

#include "nvdec_support.h"

namespace cosmos::test {
namespace {

struct SharedFile {
  std::string file;
  std::string decoder = "nvdec";
  std::string reason = {};  // part of decoder_reason
  bool always = true;       // false: the decoder depends on the frames of the clip
};

void PrintTo(const SharedFile& file, std::ostream* out) { *out << file.file; }

class NvdecShared : public testing::TestWithParam<SharedFile> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << path_ << " is not here; set COSMOS_SHARED_MEDIA";
    FakeNvdec::Get().Reset();
  }
  std::filesystem::path path_ = SharedFolder() / GetParam().file;
};

TEST_P(NvdecShared, GivesTheClipOfTheCpu) {
  const FakeNvdec& fake = FakeNvdec::Get();
  {
    const std::shared_ptr<Gpu> gpu = fake.Open();
    ASSERT_TRUE(gpu);
    for (const auto& [frames, start] : {std::pair(8, 0.0), std::pair(31, 0.4)}) {
      SCOPED_TRACE(testing::Message() << frames << " frames from " << start);
      ClipRequest request;
      request.shape.frames = frames;
      request.start = start;
      const MediaPath source{path_.string()};
      if (start > 0 && ReadError(source, request).code() == StatusCode::kMedia)
        continue;  // the file is shorter
      const auto cpu = ReadClips(source, request);
      request.gpu = gpu;
      const auto clips = ReadClips(source, request);
      ASSERT_EQ(clips.size(), 1U);
      ExpectSameClip(clips[0], cpu[0]);
      if (GetParam().always) {
        EXPECT_EQ(clips[0].report.decoder, GetParam().decoder) << clips[0].report.decoder_reason;
        EXPECT_NE(clips[0].report.decoder_reason.find(GetParam().reason), std::string::npos)
            << clips[0].report.decoder_reason;
        EXPECT_EQ(clips[0].report.decoder_reason.empty(), GetParam().reason.empty())
            << clips[0].report.decoder_reason;
        EXPECT_EQ(clips[0].clip->device_pixels() != nullptr, GetParam().decoder == "nvdec");
      }
    }
  }
  fake.ExpectNothingLeft();
}

INSTANTIATE_TEST_SUITE_P(
    Media, NvdecShared,
    testing::Values(
        SharedFile{"street_10s.mp4"}, SharedFile{"bikes.mp4"}, SharedFile{"flipping_a_pancake.mkv"},
        SharedFile{"nasa_13013.mp4"}, SharedFile{"nasa_13013_rotated.mp4"}, SharedFile{"rotated_90.mov"},
        SharedFile{"nasa_13013_hdr.mp4"},
        SharedFile{"av1_video.mkv", "software", "NVDEC of NVIDIA H100 does not decode av1 8-bit 4:2:0"},
        SharedFile{"h265_video.mp4", "software", "of 128 x 128, only from 144 x 144"},
        SharedFile{"h265_10bits.mp4"},
        SharedFile{"h264_10bits.mp4", "software", "NVDEC of NVIDIA H100 does not decode h264 10-bit"},
        SharedFile{"testsrc2_vp8.webm"}, SharedFile{"testsrc2_vp9.webm"},
        SharedFile{"testsrc2_odd_height_and_width_vp9.mp4"},
        SharedFile{"testsrc2_odd_height_and_width_444.mp4", "software", "4:4:4"},
        SharedFile{"testsrc2_odd_width_mpeg2.mp4", "software", "NVDEC is not used for mpeg2video"},
        SharedFile{"sine_stereo_mp2.mpg", "software", "NVDEC is not used for mpeg1video"},
        SharedFile{"bt601_full_range.mp4"}, SharedFile{"bt601_limited_range.mp4"},
        SharedFile{"bt709_full_range.mp4"}, SharedFile{"discard_first_keyframe.mp4"},
        SharedFile{"test_non_zero_start.mp4"}, SharedFile{"unordered.mov"},
        SharedFile{"resolution_change.h264", "nvdec", "changes", false},
        SharedFile{"corrupted.mp4", "nvdec", "damage", false}),
    [](const auto& file) {
      std::string name = file.param.file;
      for (char& c : name) c = c == '.' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace cosmos::test
