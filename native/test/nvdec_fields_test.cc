// Pictures whose two fields are coded one after the other in one packet. No encoder here makes them, so they
// are written by hand: H.264, every macroblock uncompressed.
#include <gtest/gtest.h>

#include "nvdec_support.h"

namespace cosmos::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

class BitWriter {
 public:
  void Put(unsigned value, int bits) {
    for (int bit = bits - 1; bit >= 0; --bit) {
      if (used_ == 0) bytes_.push_back(0);
      bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | (value >> bit & 1) << (7 - used_));
      used_ = (used_ + 1) % 8;
    }
  }
  void Golomb(std::initializer_list<unsigned> values) {
    for (const unsigned value : values) {
      int bits = 1;
      while ((value + 1) >> bits != 0) ++bits;
      Put(value + 1, 2 * bits - 1);
    }
  }
  void Align() { used_ = 0; }
  Bytes Unit(std::uint8_t header) {
    Put(1, 1);
    Bytes unit = {0, 0, 0, 1, header};
    int zeros = 0;
    for (const std::uint8_t byte : bytes_) {
      if (zeros == 2 && byte <= 3) unit.push_back(3);
      zeros = zeros == 2 && byte <= 3 ? 0 : zeros;
      zeros = byte == 0 ? zeros + 1 : 0;
      unit.push_back(byte);
    }
    return unit;
  }

 private:
  Bytes bytes_;
  int used_ = 0;
};

constexpr int kColumns = 4;    // macroblocks
constexpr int kFieldRows = 2;  // of a field
constexpr int kSize = 64;

Bytes ParameterSets() {
  BitWriter sequence;
  sequence.Put(77 << 16 | 30, 24);  // Main profile, level 3
  sequence.Golomb({0, 0, 2, 1});    // number, frame numbers of 4 bits, shown as decoded, one reference
  sequence.Put(0, 1);
  sequence.Golomb({kColumns - 1, kFieldRows - 1});
  sequence.Put(0b00100, 5);  // fields, not adaptive, direct 8 x 8, no cropping, no VUI
  BitWriter picture;
  picture.Golomb({0, 0});
  picture.Put(0, 2);
  picture.Golomb({0, 0, 0});
  picture.Put(0, 3);
  picture.Golomb({0, 0, 0});
  picture.Put(0b100, 3);  // the slice says how edges are smoothed
  Bytes sets = sequence.Unit(0x67);
  const Bytes second = picture.Unit(0x68);
  sets.insert(sets.end(), second.begin(), second.end());
  return sets;
}

Bytes Field(int picture, bool bottom) {
  BitWriter slice;
  slice.Golomb({0, 7, 0});
  slice.Put(0, 4);
  slice.Put(bottom ? 3 : 2, 2);
  if (!bottom) {
    slice.Golomb({static_cast<unsigned>(picture % 2)});
    slice.Put(0, 2);
  } else {
    slice.Put(0, 1);
  }
  slice.Golomb({0, 1});
  for (int macroblock = 0; macroblock < kColumns * kFieldRows; ++macroblock) {
    slice.Golomb({25});
    slice.Align();
    const unsigned luma = static_cast<unsigned>(40 + 15 * picture + 5 * macroblock + (bottom ? 70 : 0));
    for (int i = 0; i < 256; ++i) slice.Put(luma, 8);
    for (int i = 0; i < 128; ++i) slice.Put(128, 8);
  }
  return slice.Unit(bottom ? 0x61 : 0x65);
}

// Both fields in one packet, as cameras write it.
std::filesystem::path FieldCoded(int pictures) {
  const auto path = ScratchFolder() / "fields.mp4";
  AVFormatContext* file = nullptr;
  avformat_alloc_output_context2(&file, nullptr, "mp4", path.c_str());
  AVStream* stream = avformat_new_stream(file, nullptr);
  stream->time_base = {1, 10};
  AVCodecParameters& parameters = *stream->codecpar;
  parameters.codec_type = AVMEDIA_TYPE_VIDEO;
  parameters.codec_id = AV_CODEC_ID_H264;
  parameters.width = kSize;
  parameters.height = kSize;
  const Bytes sets = ParameterSets();
  parameters.extradata = static_cast<std::uint8_t*>(av_mallocz(sets.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  parameters.extradata_size = static_cast<int>(sets.size());
  std::ranges::copy(sets, parameters.extradata);
  EXPECT_GE(avio_open(&file->pb, path.c_str(), AVIO_FLAG_WRITE), 0);
  EXPECT_GE(avformat_write_header(file, nullptr), 0);
  const ff::Packet packet(av_packet_alloc());
  for (int picture = 0; picture < pictures; ++picture) {
    Bytes data = Field(picture, false);
    const Bytes second = Field(picture, true);
    data.insert(data.end(), second.begin(), second.end());
    av_new_packet(packet.get(), static_cast<int>(data.size()));
    std::ranges::copy(data, packet->data);
    packet->flags = AV_PKT_FLAG_KEY;
    packet->duration = av_rescale_q(1, {1, 10}, stream->time_base);
    packet->pts = packet->dts = av_rescale_q(picture, {1, 10}, stream->time_base);
    EXPECT_GE(av_write_frame(file, packet.get()), 0);
    av_packet_unref(packet.get());
  }
  av_write_trailer(file);
  avio_closep(&file->pb);
  avformat_free_context(file);
  return path;
}

TEST(NvdecFields, BothFieldsOfAPacketAreDecoded) {
  const FakeNvdec& fake = FakeNvdec::Get();
  fake.Reset();
  const auto path = FieldCoded(6);
  {
    const auto gpu = fake.Open();
    ASSERT_TRUE(gpu);
    ClipRequest request;
    request.shape = {.frames = 6, .height = kSize, .width = kSize};
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
    // Every other line is the other field's.
    std::vector<std::uint8_t> pixels(clips[0].clip->shape().bytes());
    ASSERT_TRUE(clips[0].clip->CopyTo(pixels.data()).ok());
    EXPECT_GT(pixels[kSize], pixels[0] + 50);
  }
  fake.ExpectNothingLeft();
}

}  // namespace
}  // namespace cosmos::test
