// Pictures coded as two fields, decoded by NVDEC.
#include <gtest/gtest.h>

#include "field_coded.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

TEST(NvdecFields, BothFieldsOfAPacketAreDecoded) {
  const FakeNvdec& fake = FakeNvdec::Get();
  fake.Reset();
  const auto path = FieldCoded("mp4", 6, /*together=*/true);
  {
    const auto gpu = fake.Open();
    ASSERT_TRUE(gpu);
    ClipRequest request;
    request.shape = {.frames = 6, .height = kFieldCodedSize, .width = kFieldCodedSize};
    const auto cpu = ReadClips(MediaPath{path.string()}, request);
    request.gpu = gpu;
    const auto clips = ReadClips(MediaPath{path.string()}, request);
    ASSERT_EQ(clips.size(), 1U);
    ExpectSameClip(clips[0], cpu.at(0));
    EXPECT_TRUE(clips[0].report.warnings.empty());
    EXPECT_EQ(clips[0].report.decoder, "nvdec");
    EXPECT_EQ(clips[0].report.decoder_reason, "");
    EXPECT_EQ(clips[0].report.frame_count, 6);
    EXPECT_EQ(fake.counts().decoded, 6);
    // The other field has the odd lines.
    std::vector<std::uint8_t> pixels(clips[0].clip->shape().bytes());
    ASSERT_TRUE(clips[0].clip->CopyTo(pixels.data()).ok());
    EXPECT_GT(pixels[kFieldCodedSize], pixels[0] + 50);
  }
  fake.ExpectNothingLeft();
}

}  // namespace
}  // namespace cosmos::test
