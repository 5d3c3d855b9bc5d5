#include "written_h264.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ffmpeg/ffmpeg.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

constexpr int kSide = 4;  // macroblocks

Bytes ParameterSets() {
  BitWriter sequence;
  sequence.Put(77 << 16 | 30, 24);   // Main profile, level 3
  sequence.Golomb({0, 0, 0, 4, 4});  // id, 4-bit frame_num, 8-bit POC, four references
  sequence.Put(0, 1);                // no gaps in frame_num
  sequence.Golomb({kSide - 1, kSide - 1});
  sequence.Put(0b1101, 4);       // frame_mbs_only, direct_8x8, no cropping, VUI follows
  sequence.Put(0b000000001, 9);  // only the bitstream restrictions
  sequence.Put(1, 1);
  sequence.Golomb({0, 0, 16, 16, 2, 4});
  Bytes sets = sequence.Unit(0x67);
  const Bytes second = DeblockingPps();
  sets.insert(sets.end(), second.begin(), second.end());
  return sets;
}

Bytes Picture(const WrittenPicture& picture) {
  BitWriter slice;
  slice.Golomb({0, picture.idr ? 7U : 5U, 0});
  slice.Put(picture.frame, 4);
  if (picture.idr) slice.Golomb({picture.frame});
  slice.Put(picture.order, 8);
  if (picture.idr) {
    slice.Put(0, 2);
  } else {
    slice.Put(0, 2);  // default reference count and order
    if (picture.reference) slice.Put(picture.resets ? 1 : 0, 1);
    if (picture.resets) slice.Golomb({5, 0});
  }
  slice.Golomb({0, 1});
  PutMacroblocks(slice, kSide * kSide, static_cast<unsigned>(20 + 3 * picture.number), picture.idr);
  return slice.Unit(picture.idr ? 0x65 : picture.reference ? 0x61 : 0x01);
}

}  // namespace

Bytes DeblockingPps() {
  return BitWriter()
      .Golomb({0, 0})
      .Put(0, 2)
      .Golomb({0, 0, 0})
      .Put(0, 3)
      .Golomb({0, 0, 0})
      .Put(0b100, 3)
      .Unit(0x68);
}

void PutMacroblocks(BitWriter& slice, int count, unsigned luma, bool intra) {
  for (int macroblock = 0; macroblock < count; ++macroblock) {
    if (intra) {
      slice.Golomb({25});
    } else {
      slice.Golomb({0, 30});  // mb_skip_run, mb_type I_PCM
    }
    slice.Align();
    for (int i = 0; i < 256; ++i) slice.Put(luma + 5 * static_cast<unsigned>(macroblock), 8);
    for (int i = 0; i < 128; ++i) slice.Put(128, 8);
  }
}

std::filesystem::path WriteH264(const std::string& name, const std::string& container, int size,
                                const Bytes& sets, const std::vector<WrittenPacket>& packets, int rate) {
  const auto path = ScratchFolder() / name;
  AVFormatContext* file = nullptr;
  avformat_alloc_output_context2(&file, nullptr, container.c_str(), path.c_str());
  AVStream* stream = avformat_new_stream(file, nullptr);
  stream->time_base = {1, rate};
  AVCodecParameters& parameters = *stream->codecpar;
  parameters.codec_type = AVMEDIA_TYPE_VIDEO;
  parameters.codec_id = AV_CODEC_ID_H264;
  parameters.width = size;
  parameters.height = size;
  parameters.extradata = static_cast<std::uint8_t*>(av_mallocz(sets.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  parameters.extradata_size = static_cast<int>(sets.size());
  std::ranges::copy(sets, parameters.extradata);
  EXPECT_GE(avio_open(&file->pb, path.c_str(), AVIO_FLAG_WRITE), 0);
  // An edit list would begin at the first packet's picture, which need not be shown first.
  AVDictionary* options = nullptr;
  av_dict_set(&options, "use_editlist", "0", 0);
  EXPECT_GE(avformat_write_header(file, &options), 0);
  av_dict_free(&options);
  for (const WrittenPacket& written : packets) {
    // Without a container, the sets precede keyframes.
    Bytes data = container == "h264" && written.keyframe ? sets : Bytes();
    data.insert(data.end(), written.data.begin(), written.data.end());
    const ff::Packet packet(av_packet_alloc());
    EXPECT_EQ(av_new_packet(packet.get(), static_cast<int>(data.size())), 0);
    std::ranges::copy(data, packet->data);
    if (written.keyframe) packet->flags = AV_PKT_FLAG_KEY;
    packet->pts = av_rescale_q(written.pts, {1, rate}, stream->time_base);
    packet->dts = av_rescale_q(written.dts, {1, rate}, stream->time_base);
    packet->duration = av_rescale_q(1, {1, rate}, stream->time_base);
    EXPECT_GE(av_write_frame(file, packet.get()), 0);
  }
  av_write_trailer(file);
  avio_closep(&file->pb);
  avformat_free_context(file);
  return path;
}

std::filesystem::path WritePictures(const std::string& name, const std::string& container,
                                    const std::vector<WrittenPicture>& pictures, WrittenTimes times) {
  constexpr int kDelay = 2;
  std::vector<WrittenPacket> packets;
  for (const WrittenPicture& picture : pictures) {
    const auto place = static_cast<int>(packets.size());
    const int shown = times == WrittenTimes::kRight ? picture.number + kDelay : place;
    packets.push_back({Picture(picture), shown, place, picture.idr});
  }
  return WriteH264(name, container, kSide * 16, ParameterSets(), packets, 25);
}

}  // namespace cosmos::test
