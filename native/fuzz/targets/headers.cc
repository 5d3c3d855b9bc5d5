// The readers of picture headers: NAL units, OBUs, parameter sets, VP9, MPEG.
//
// The input is a stream as a demuxer would return it: the codec in one byte, then blocks, each of them a
// length in two bytes (the highest byte first), a byte of flags except in the first block, and content. The
// first block is the extradata, the others are packets. Scripts write such files from real streams:
// scripts/fuzz/streams.mjs.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "fuzz/target.h"
#include "media/bitstream/access_unit.h"
#include "media/bitstream/hevc_headers.h"
#include "media/bitstream/nal_units.h"
#include "media/bitstream/parameter_sets.h"
#include "media/bitstream/picture_order.h"
#include "media/bitstream/picture_parser.h"
#include "media/bitstream/reference_check.h"
#include "media/bitstream/vp9_header.h"

namespace cosmos::fuzz {
namespace {

constexpr std::array kCodecs = {AV_CODEC_ID_H264, AV_CODEC_ID_HEVC,       AV_CODEC_ID_AV1,
                                AV_CODEC_ID_VP8,  AV_CODEC_ID_VP9,        AV_CODEC_ID_MPEG4,
                                AV_CODEC_ID_VC1,  AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG1VIDEO,
                                AV_CODEC_ID_WMV3, AV_CODEC_ID_THEORA,     AV_CODEC_ID_MJPEG};
constexpr std::size_t kMaxPackets = 200;

Bytes Take(Bytes& rest, std::size_t count) {
  const Bytes taken = rest.first(std::min(count, rest.size()));
  rest = rest.subspan(taken.size());
  return taken;
}

std::size_t TakeNumber(Bytes& rest, std::size_t bytes) {
  std::size_t value = 0;
  for (const std::uint8_t byte : Take(rest, bytes)) value = value << 8 | byte;
  return value;
}

ff::CodecParameters Parameters(AVCodecID codec, Bytes extradata) {
  ff::CodecParameters parameters(avcodec_parameters_alloc());
  parameters->codec_type = AVMEDIA_TYPE_VIDEO;
  parameters->codec_id = codec;
  parameters->width = 64;
  parameters->height = 64;
  parameters->extradata =
      static_cast<std::uint8_t*>(av_mallocz(extradata.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  std::ranges::copy(extradata, parameters->extradata);
  parameters->extradata_size = static_cast<int>(extradata.size());
  return parameters;
}

class Stream {
 public:
  Stream(AVCodecID codec, Bytes extradata)
      : codec_(codec),
        parameters_(Parameters(codec, extradata)),
        reader_(*parameters_),
        lazy_reader_(*parameters_),
        check_(*parameters_),
        order_(*parameters_),
        sets_(*parameters_) {
    CanSkipNonReference(*parameters_);
  }

  void Add(unsigned flags, Bytes content) {
    const ff::Packet packet = PacketOf(flags, content);
    const AccessUnit unit = reader_.Read(*packet);
    lazy_reader_.Read(*packet, static_cast<std::int64_t>(content.size() * (flags >> 6) / 4));
    Require(reader_.CountUnits(*packet).slices >= 0, "a negative number of slices");
    if ((flags & 4U) != 0) check_.Reset();
    check_.MissesPictures(*packet);
    order_.Add(*packet, unit);
    sets_.Observe(packets_++, *packet);
    Require(SecondFieldOffset(codec_, content) <= content.size(), "a second field after the end");
    ColourOfVp9(content);
  }

  void Finish() {
    const std::vector<int> display = order_.Display();
    std::vector<int> sorted = display;
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      Require(sorted[i] == static_cast<int>(i), "an order that lacks a packet");
    }
    Require(static_cast<int>(display.size()) == packets_, "an order of another number of packets");
    order_.IsReliable(display);
    for (int place = 0; place < packets_; ++place) {
      const ff::Packet packet(av_packet_alloc());
      Require(sets_.Attach(sets_.At(place), *packet).ok(), "parameter sets that cannot be attached");
    }
    order_.Forget(packets_ / 2);
    order_.Display();
  }

 private:
  // FFmpeg's parsers need padding after the packet, which av_new_packet adds.
  static ff::Packet PacketOf(unsigned flags, Bytes content) {
    ff::Packet packet(av_packet_alloc());
    Require(av_new_packet(packet.get(), static_cast<int>(content.size())) == 0, "no memory");
    std::ranges::copy(content, packet->data);
    if ((flags & 1U) != 0) packet->flags |= AV_PKT_FLAG_KEY;
    if ((flags & 2U) != 0) {
      std::uint8_t* sets = av_packet_new_side_data(packet.get(), AV_PKT_DATA_NEW_EXTRADATA, content.size());
      if (sets) std::ranges::copy(content, sets);
    }
    return packet;
  }

  AVCodecID codec_;
  ff::CodecParameters parameters_;
  AccessUnitReader reader_;
  AccessUnitReader lazy_reader_;  // sees only the beginning of each packet
  ReferenceCheck check_;
  PictureOrder order_;
  ParameterSets sets_;
  int packets_ = 0;
};

// The readers that take plain bytes, on a copy without padding: AddressSanitizer sees a read after the end.
void ReadPlain(Bytes content) {
  const std::vector<std::uint8_t> exact(content.begin(), content.end());
  ReadH264Sps(exact);
  SecondFieldOffset(AV_CODEC_ID_H264, exact);
  SecondFieldOffset(AV_CODEC_ID_MPEG2VIDEO, exact);
  ColourOfVp9(exact);
  H264Headers h264;
  HevcHeaders hevc;
  for (const int length_bytes : {h264.ReadExtradata(exact), hevc.ReadExtradata(exact)}) {
    ForEachUnit(exact, length_bytes, [&](Bytes unit) {
      if (unit.empty()) return true;
      h264.Observe(unit);
      hevc.Observe(unit);
      h264.ReadSlice(unit);
      hevc.ReadSlice(unit);
      return true;
    });
  }
}

}  // namespace

void FuzzOne(Bytes input) {
  ff::SilenceLog();
  const std::size_t codec = TakeNumber(input, 1) % kCodecs.size();
  const std::size_t extradata_size = TakeNumber(input, 2);
  const Bytes extradata = Take(input, extradata_size);
  ReadPlain(extradata);
  Stream stream(kCodecs[codec], extradata);
  for (std::size_t count = 0; count < kMaxPackets && !input.empty(); ++count) {
    const std::size_t size = TakeNumber(input, 2);
    const auto flags = static_cast<unsigned>(TakeNumber(input, 1));
    const Bytes content = Take(input, size);
    if (content.empty()) continue;  // demuxers return none
    ReadPlain(content);
    stream.Add(flags, content);
  }
  stream.Finish();
}

}  // namespace cosmos::fuzz
