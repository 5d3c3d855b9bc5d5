// Headers of H.264 whose fields hold values that no encoder writes.
#include <gtest/gtest.h>

#include <vector>

#include "bit_writer.h"
#include "media/bitstream/h264_headers.h"

namespace cosmos::test {
namespace {

constexpr unsigned kLargest = 0xfffffffe;  // that an Exp-Golomb code of 32 bits holds

// An SPS of 80 x 64 pixels up to its flags for scaling lists, which `lists` writes.
template <typename Lists>
std::optional<H264Sps> Read(unsigned chroma, unsigned extra_bits, Lists lists) {
  constexpr std::uint8_t kSps = 0x67;
  constexpr int kHigh = 100;
  BitWriter bits;
  bits.Put(kHigh, 8).Put(0, 16).Golomb({0, chroma, extra_bits, 0}).Put(0, 1);
  lists(bits);
  // frame_num's bits, order by decoding, references, gaps, width and height in macroblocks, frames only.
  bits.Golomb({0, 2, 1}).Put(0, 1).Golomb({4, 3}).Put(1, 1);
  bits.Put(1, 1).Put(0, 2).Put(1, 1);  // 8 x 8 inference, no cropping, no usability information
  const auto unit = bits.Unit(kSps);
  constexpr std::size_t kBefore = 5;  // a start code and the unit's header
  return ReadH264Sps(std::span(unit).subspan(kBefore));
}

void NoLists(BitWriter& bits) { bits.Put(0, 1); }

TEST(H264Headers, FieldsOfAnyValue) {
  for (const unsigned chroma : {0U, 1U, 3U, 4U, 5U, 0x7fffffffU, 0x80000000U, kLargest}) {
    for (const unsigned extra_bits : {0U, 2U, 6U, 0x7ffffff8U, 0x7fffffffU, kLargest}) {
      SCOPED_TRACE(testing::Message() << chroma << ", " << extra_bits);
      if (chroma == 3) continue;  // a flag follows
      const auto sps = Read(chroma, extra_bits, NoLists);
      ASSERT_EQ(sps.has_value(), chroma <= 3);
      if (!sps) continue;
      EXPECT_EQ(sps->pixels, 80 * 64);
      EXPECT_GE(sps->bit_depth, 8);
      EXPECT_GE(sps->PictureBytes(), 80 * 64);
    }
  }
}

// Deltas count modulo 256, and a sum of zero ends a list.
TEST(H264Headers, ScalingListsWithDeltasOfAnySize) {
  const auto with_list = [](const std::vector<unsigned>& deltas) {
    return Read(1, 0, [&](BitWriter& bits) {
      bits.Put(1, 1).Put(1, 1);
      for (const unsigned delta : deltas) bits.Golomb({delta});
      bits.Put(0, 7);  // the other lists
    });
  };
  // Codes of odd number are positive: 1 is 1, 2 is -1, 3 is 2.
  for (const auto& deltas :
       std::vector<std::vector<unsigned>>{{16},                          // -8
                                          {16 + 512},                    // -8 - 256
                                          {495},                         // 248
                                          {1, 18},                       // 1, -9
                                          {0x7fffffff, 16},              // 2^30, which is nothing modulo 256
                                          {0x80000000 + 16},             // -2^30 - 8
                                          std::vector<unsigned>(16, 0),  // a whole list
                                          std::vector<unsigned>(16, kLargest - 2 * 255)}) {
    const auto sps = with_list(deltas);
    ASSERT_TRUE(sps.has_value());
    EXPECT_EQ(sps->pixels, 80 * 64);
  }
}

}  // namespace
}  // namespace cosmos::test
