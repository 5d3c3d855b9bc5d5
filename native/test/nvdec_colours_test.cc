// Colours that the container states otherwise than the stream. Of the two, NVDEC's pictures must have those
// that libavcodec's have.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "containers.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

constexpr std::uint8_t kBt709 = 1;
constexpr std::uint8_t kBt601 = 6;
constexpr std::uint8_t kUnspecified = 2;

// The video with this box in place of its own.
MediaBytes WithBox(const std::filesystem::path& video, std::uint8_t matrix, bool full_range, Bytes& bytes) {
  std::vector<Box> file = ParseBoxes(ReadFile(video));
  std::vector<Box>& boxes = SampleEntry(file).children;
  std::erase_if(boxes, [](const Box& box) { return box.type == "colr"; });
  const auto flags = static_cast<std::uint8_t>(full_range ? 0x80 : 0);
  boxes.push_back({"colr", {'n', 'c', 'l', 'x', 0, matrix, 0, matrix, 0, matrix, flags}, {}});
  bytes = WriteBoxes(file);
  return Borrow(bytes);
}

class NvdecColours : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    fake_.Reset();
    gpu_ = fake_.Open();
    ASSERT_TRUE(gpu_);
  }
  void TearDown() override {
    gpu_.reset();
    fake_.ExpectNothingLeft();
  }

  // Returns the clip of the CPU, which the GPU's must equal.
  DecodedClip Check(const MediaSource& source) {
    ClipRequest request;
    request.shape = {.frames = 2, .height = 64, .width = 64};
    DecodedClip cpu = ReadClips(source, request).at(0);
    request.gpu = gpu_;
    const DecodedClip clip = ReadClips(source, request).at(0);
    EXPECT_EQ(clip.report.decoder, "nvdec");
    EXPECT_EQ(clip.report.decoder_reason, "");
    ExpectSameClip(clip, cpu);
    return cpu;
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
  std::shared_ptr<Gpu> gpu_;
};

TEST_P(NvdecColours, AreThoseOfTheCpuWhateverTheContainerSays) {
  std::string name = GetParam().substr(0, GetParam().find(' '));
  const auto video = MakeClip("colours_" + name + ".mp4",
                              "-f lavfi -i testsrc2=size=320x240:rate=10:duration=1 -pix_fmt yuv420p " +
                                  GetParam().substr(name.size() + 1));
  Check(MediaPath{video.string()});
  for (const std::uint8_t matrix : {kBt709, kBt601, kUnspecified}) {
    for (const bool full_range : {false, true}) {
      SCOPED_TRACE(testing::Message() << "matrix " << int{matrix} << ", full range " << full_range);
      Bytes bytes;
      Check(WithBox(video, matrix, full_range, bytes));
    }
  }
}

constexpr const char* kH264 = "-c:v libx264 -bsf:v h264_metadata=";
constexpr const char* kHevc = "-c:v libx265 -tag:v hvc1 -x265-params log-level=none";

INSTANTIATE_TEST_SUITE_P(
    All, NvdecColours,
    testing::Values(std::string("h264_silent -c:v libx264"),
                    std::string("h264_range ") + kH264 + "video_full_range_flag=0",
                    std::string("h264_full_range ") + kH264 + "video_full_range_flag=1",
                    std::string("h264_unknown ") + kH264 +
                        "colour_primaries=1:transfer_characteristics=1:matrix_coefficients=2",
                    std::string("h264_bt709 ") + kH264 + "matrix_coefficients=1",
                    std::string("hevc_silent ") + kHevc,
                    std::string("hevc_bt709 ") + kHevc + ":colormatrix=bt709",
                    std::string("hevc_range ") + kHevc + ":range=full"),
    [](const auto& tested) { return tested.param.substr(0, tested.param.find(' ')); });

// MP4 is edited by its boxes; these are written by the muxer of Matroska.
class NvdecColoursInMatroska : public NvdecColours {};

TEST_P(NvdecColoursInMatroska, AreThoseOfTheCpu) {
  const std::string name = GetParam().substr(0, GetParam().find(' '));
  Check(MediaPath{MakeClip("colours_" + name + ".mkv",
                           "-f lavfi -i testsrc2=size=320x240:rate=10:duration=1 -pix_fmt yuv420p " +
                               GetParam().substr(name.size() + 1))
                      .string()});
}

INSTANTIATE_TEST_SUITE_P(All, NvdecColoursInMatroska,
                         testing::Values("vp8 -c:v libvpx -color_range pc -colorspace bt709",
                                         "vp9 -c:v libvpx-vp9 -cpu-used 8 -color_range pc -colorspace bt709"),
                         [](const auto& tested) { return tested.param.substr(0, tested.param.find(' ')); });

}  // namespace
}  // namespace cosmos::test
