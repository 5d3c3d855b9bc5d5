#include "field_coded.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <vector>

#include "media/ffmpeg.h"
#include "media_support.h"

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
constexpr int kGroup = 3;      // pictures

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

// Every third picture begins with an IDR field; all others are P, though nothing in them is predicted.
Bytes Field(int picture, bool bottom) {
  const bool idr = picture % kGroup == 0 && !bottom;
  BitWriter slice;
  slice.Golomb({0, idr ? 7U : 5U, 0});
  slice.Put(static_cast<unsigned>(picture % kGroup), 4);
  slice.Put(bottom ? 3 : 2, 2);
  if (idr) {
    slice.Golomb({static_cast<unsigned>(picture / kGroup % 2)});
    slice.Put(0, 2);
  } else {
    slice.Put(0, 3);  // the usual references, in the usual order, kept as usual
  }
  slice.Golomb({0, 1});
  for (int macroblock = 0; macroblock < kColumns * kFieldRows; ++macroblock) {
    if (idr) {
      slice.Golomb({25});
    } else {
      slice.Golomb({0, 30});  // none skipped before it
    }
    slice.Align();
    const unsigned luma = static_cast<unsigned>(40 + 15 * picture + 5 * macroblock + (bottom ? 70 : 0));
    for (int i = 0; i < 256; ++i) slice.Put(luma, 8);
    for (int i = 0; i < 128; ++i) slice.Put(128, 8);
  }
  return slice.Unit(idr ? 0x65 : 0x61);
}

void Write(AVFormatContext* file, const Bytes& data, double picture, bool keyframe) {
  const ff::Packet packet(av_packet_alloc());
  ASSERT_EQ(av_new_packet(packet.get(), static_cast<int>(data.size())), 0);
  std::ranges::copy(data, packet->data);
  if (keyframe) packet->flags = AV_PKT_FLAG_KEY;
  packet->pts = packet->dts =
      av_rescale_q(static_cast<std::int64_t>(picture * 2), {1, 20}, file->streams[0]->time_base);
  packet->duration = av_rescale_q(1, {1, 20}, file->streams[0]->time_base);
  EXPECT_GE(av_write_frame(file, packet.get()), 0);
}

}  // namespace

std::filesystem::path FieldCoded(const std::string& container, int pictures, bool together) {
  const auto path = ScratchFolder() / ("fields-" + std::to_string(together) + "." + container);
  AVFormatContext* file = nullptr;
  avformat_alloc_output_context2(&file, nullptr, container.c_str(), path.c_str());
  AVStream* stream = avformat_new_stream(file, nullptr);
  stream->time_base = {1, 20};
  AVCodecParameters& parameters = *stream->codecpar;
  parameters.codec_type = AVMEDIA_TYPE_VIDEO;
  parameters.codec_id = AV_CODEC_ID_H264;
  parameters.width = kFieldCodedSize;
  parameters.height = kFieldCodedSize;
  const Bytes sets = ParameterSets();
  parameters.extradata = static_cast<std::uint8_t*>(av_mallocz(sets.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  parameters.extradata_size = static_cast<int>(sets.size());
  std::ranges::copy(sets, parameters.extradata);
  EXPECT_GE(avio_open(&file->pb, path.c_str(), AVIO_FLAG_WRITE), 0);
  EXPECT_GE(avformat_write_header(file, nullptr), 0);
  for (int picture = 0; picture < pictures; ++picture) {
    const bool keyframe = picture % kGroup == 0;
    Bytes data = container == "h264" && keyframe ? sets : Bytes();
    std::ranges::copy(Field(picture, false), std::back_inserter(data));
    const Bytes bottom = Field(picture, true);
    if (together) {
      data.insert(data.end(), bottom.begin(), bottom.end());
      Write(file, data, picture, keyframe);
    } else {
      Write(file, data, picture, keyframe);
      Write(file, bottom, picture + 0.5, false);
    }
  }
  av_write_trailer(file);
  avio_closep(&file->pb);
  avformat_free_context(file);
  return path;
}

}  // namespace cosmos::test
