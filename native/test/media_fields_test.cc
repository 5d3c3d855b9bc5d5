// Pictures whose two fields are coded separately are one frame each, however they are packed.
#include <gtest/gtest.h>

#include <fstream>
#include <span>
#include <vector>

#include "field_coded.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

struct Packing {
  const char* container;
  bool together;
};

class FieldCodedVideo : public testing::TestWithParam<Packing> {};

void ExpectTheSameOfAnMp4(const Packing& packing, const ClipRequest& request, int pictures) {
  constexpr int kPictures = 9;
  const auto expected = ReadClips(MediaPath{FieldCoded("mp4", kPictures, true).string()}, request);
  const auto found =
      ReadClips(MediaPath{FieldCoded(packing.container, kPictures, packing.together).string()}, request);
  ASSERT_EQ(expected.size(), 1U);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].report.frame_count, pictures);
  EXPECT_TRUE(found[0].report.warnings.empty());
  ASSERT_EQ(found[0].frames.size(), expected[0].frames.size());
  for (std::size_t i = 0; i < found[0].frames.size(); ++i) {
    EXPECT_EQ(found[0].frames[i].index, expected[0].frames[i].index);
    EXPECT_EQ(found[0].frames[i].keyframe, expected[0].frames[i].keyframe);
  }
  std::vector<std::uint8_t> pixels(expected[0].clip->shape().bytes());
  std::vector<std::uint8_t> mine(pixels.size());
  ASSERT_TRUE(expected[0].clip->CopyTo(pixels.data()).ok());
  ASSERT_TRUE(found[0].clip->CopyTo(mine.data()).ok());
  EXPECT_EQ(mine, pixels);
}

TEST_P(FieldCodedVideo, HasTheFramesOfAnMp4) {
  ClipRequest request;
  request.shape = {.frames = 5, .height = kFieldCodedSize, .width = kFieldCodedSize};
  ExpectTheSameOfAnMp4(GetParam(), request, 9);
}

TEST_P(FieldCodedVideo, HasTheSameFramesWithinARange) {
  const std::string container = GetParam().container;
  if (container == "h264" || container == "avi") GTEST_SKIP() << "it has no times";
  ClipRequest request;
  request.shape = {.frames = 4, .height = kFieldCodedSize, .width = kFieldCodedSize};
  request.start = 0.4;
  request.end = 0.9;
  ExpectTheSameOfAnMp4(GetParam(), request, 5);
}

INSTANTIATE_TEST_SUITE_P(MediaFields, FieldCodedVideo,
                         testing::Values(Packing{"h264", true}, Packing{"h264", false},
                                         Packing{"mpegts", true}, Packing{"mpegts", false},
                                         Packing{"matroska", true}, Packing{"matroska", false},
                                         Packing{"mp4", false}, Packing{"mov", false}, Packing{"avi", false}),
                         [](const auto& packing) {
                           return std::string(packing.param.container) +
                                  (packing.param.together ? "Together" : "Apart");
                         });

// A recording that begins in the middle of a picture.
TEST(MediaFields, AFieldAloneIsNotJoinedToTheKeyframeAfterIt) {
  const auto whole = ReadFile(FieldCoded("h264", 6, false));
  const auto path = ScratchFolder() / "begins-with-a-field.h264";
  // Start codes of two parameter sets, of the first field, which is dropped, and of the second.
  std::vector<std::size_t> codes;
  for (std::size_t i = 0; codes.size() < 4; ++i) {
    if (whole[i] == 0 && whole[i + 1] == 0 && whole[i + 2] == 0 && whole[i + 3] == 1) codes.push_back(i);
  }
  const auto bytes = std::as_bytes(std::span(whole));
  std::ofstream file(path, std::ios::binary);
  for (const auto part : {bytes.first(codes[2]), bytes.subspan(codes[3])})
    file.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
  file.close();
  ClipRequest request;
  request.shape = {.frames = 3, .height = kFieldCodedSize, .width = kFieldCodedSize};
  const auto found = ReadClips(MediaPath{path.string()}, request);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].report.frame_count, 3);
  EXPECT_TRUE(found[0].frames[0].keyframe);
}

}  // namespace
}  // namespace cosmos::test
