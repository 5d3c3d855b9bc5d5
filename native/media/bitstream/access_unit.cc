#include "media/bitstream/access_unit.h"

#include <algorithm>

#include "media/bitstream/av1_headers.h"
#include "media/bitstream/bit_reader.h"
#include "media/bitstream/mpeg4_headers.h"
#include "media/bitstream/nal_units.h"
#include "media/bitstream/vp9_header.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

// Whether an H.264 SEI message is a recovery point with a recovery_frame_cnt of 0: pictures are correct from
// here on, not only after a while.
bool IsRecoveryPoint(Bytes sei) {
  constexpr std::uint32_t kRecoveryPoint = 6;
  constexpr std::uint32_t kMore = 255;
  BitReader bits(sei, BitReader::Escapes::kPrevention);
  const auto number = [&] {
    std::uint32_t value = 0;
    std::uint32_t byte = kMore;
    while (byte == kMore && !bits.overrun()) value += byte = bits.Bits(8);
    return value;
  };
  while (!bits.overrun()) {
    const std::uint32_t type = number();
    const std::uint32_t size = number();
    if (bits.overrun()) return false;
    if (type == kRecoveryPoint) return bits.Golomb() == 0 && !bits.overrun();
    for (std::uint32_t i = 0; i < size && !bits.overrun(); ++i) bits.Skip(8);
  }
  return false;
}

bool IsIntraSlice(Bytes slice) {
  BitReader bits(slice, BitReader::Escapes::kPrevention);
  bits.Golomb();  // first_mb_in_slice
  const std::uint32_t type = bits.Golomb() % 5;
  return !bits.overrun() && (type == 2 || type == 4);  // I and SI
}

AccessUnit ReadVp8(Bytes packet) {
  const bool key = (packet[0] & 0x01) == 0;
  return {.hidden = (packet[0] & 0x10) == 0, .random_access = key, .closed = key};
}

// A packet that begins with a hidden picture may be a superframe, in which a shown one follows. Only its end
// tells that. A picture of it whose header is not known counts as shown: muxers make superframes for these.
AccessUnit ReadVp9(Bytes head, Bytes end, std::int64_t size) {
  const Vp9Picture first = ReadVp9Picture(head);
  AccessUnit unit{.random_access = first.key, .closed = first.key};
  if (first.shown) return unit;
  if (end.empty()) return {.read = false};
  const std::optional<Vp9Superframe> superframe = ReadVp9Superframe(end, size);
  // Decoders refuse a superframe with wrong sizes. That is damage, and no reason to leave out its picture.
  unit.hidden = !superframe || !superframe->sizes.empty();
  if (!superframe) return unit;
  std::size_t at = 0;
  for (const std::uint32_t bytes : superframe->sizes) {
    unit.hidden = unit.hidden && at < head.size() && !ReadVp9Picture(head.subspan(at)).shown;
    at += bytes;
  }
  return unit;
}

// Decoding can begin at a temporal unit whose first picture is a shown key frame with a sequence header. A
// unit of which not all is known shows a picture, as the containers whose packets are not read whole demand.
AccessUnit ReadAv1(Bytes packet, std::int64_t size) {
  bool sequence = false;
  bool reduced = false;  // reduced_still_picture_header
  bool shows = static_cast<std::int64_t>(packet.size()) < size;
  AccessUnit picture{.has_picture = false};
  ForEachObu(packet, [&](const Av1Obu& obu) {
    BitReader bits(obu.payload);
    if (obu.type == av1::kSequenceHeader) {
      sequence = true;
      bits.Skip(4);  // seq_profile, still_picture
      reduced = bits.Bit() != 0;
    }
    if (!av1::BeginsPicture(obu.type)) return true;
    const bool shows_existing = !reduced && bits.Bit() != 0;
    const bool key = reduced || (!shows_existing && bits.Bits(2) == 0);
    const bool shown = reduced || shows_existing || bits.Bit() != 0;
    if (!picture.has_picture) picture.random_access = picture.closed = sequence && key && shown;
    picture.has_picture = true;
    shows = shows || shown;
    return !shows;
  });
  picture.hidden = picture.has_picture && !shows;
  return picture;
}

AccessUnit ReadMpeg2(Bytes packet) {
  constexpr std::uint8_t kPicture = 0x00;
  constexpr std::uint8_t kGroup = 0xb8;
  AccessUnit unit{.has_picture = false};
  ForEachStartCode(packet, [&](Bytes code) {
    if (code[0] == kGroup && code.size() > 4) unit.closed = (code[4] & 0x40) != 0;
    if (code[0] != kPicture) return true;
    unit.has_picture = true;
    unit.random_access = code.size() > 2 && (code[2] >> 3 & 7) == 1;
    return false;
  });
  unit.closed = unit.closed && unit.random_access;
  return unit;
}

AccessUnit Begins(bool key) { return {.random_access = key, .closed = key}; }

// The codecs below have no B-frames, and their first bits tell whether a picture depends on others.
AccessUnit ReadWmv1(Bytes packet) { return Begins((packet[0] & 0xc0) == 0); }

AccessUnit ReadWmv2(Bytes packet) { return Begins((packet[0] & 0x80) == 0); }

AccessUnit ReadTheora(Bytes packet) {
  constexpr std::uint8_t kHeader = 0x80;
  constexpr std::uint8_t kInter = 0x40;
  if ((packet[0] & kHeader) != 0) return {.has_picture = false};
  return Begins((packet[0] & kInter) == 0);
}

// Decodes one bit of a range coder at even odds: the upper half of its initial range, 0xff00, is a one.
AccessUnit ReadFfv1(Bytes packet) {
  constexpr int kHalf = 0xff00 / 2;
  return Begins(packet.size() > 1 && (packet[0] << 8 | packet[1]) >= kHalf);
}

}  // namespace

AccessUnitReader::AccessUnitReader(const AVCodecParameters& parameters) : codec_(parameters.codec_id) {
  Configure({parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)});
}

void AccessUnitReader::Configure(Bytes extradata) {
  if (codec_ == AV_CODEC_ID_H264) {
    length_bytes_ = h264_.ReadExtradata(extradata);
  } else if (codec_ == AV_CODEC_ID_HEVC) {
    length_bytes_ = hevc_.ReadExtradata(extradata);
  } else if (codec_ == AV_CODEC_ID_MPEG4) {
    ReadMpeg4(extradata);
  } else if (codec_ == AV_CODEC_ID_VC1) {
    ForEachStartCode(extradata, [this](Bytes code) {
      if (code[0] == vc1::kSequence) vc1_ = ReadVc1Sequence(code.subspan(1), /*advanced=*/true);
      return true;
    });
  } else if (codec_ == AV_CODEC_ID_WMV3) {
    vc1_ = ReadVc1Sequence(extradata, /*advanced=*/false);
  }
}

AccessUnit AccessUnitReader::Read(const AVPacket& packet, std::int64_t known, Bytes end) {
  std::size_t size = 0;
  const std::uint8_t* extradata = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
  if (extradata) Configure({extradata, size});
  const auto bytes = static_cast<std::size_t>(std::clamp<std::int64_t>(known, 0, std::max(packet.size, 0)));
  const Bytes head(packet.data, bytes);
  const AccessUnit unit = ReadBytes(head, known >= packet.size ? head : end, packet.size);
  if (unit.read && (unit.has_picture || known >= packet.size)) return unit;
  const bool flagged = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  return {.read = false, .random_access = flagged};
}

UnitCount AccessUnitReader::CountUnits(const AVPacket& packet) {
  std::size_t size = 0;
  const std::uint8_t* extradata = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
  if (extradata) Configure({extradata, size});
  return CountUnits(Bytes(packet.data, static_cast<std::size_t>(std::max(packet.size, 0))));
}

UnitCount AccessUnitReader::CountUnits(Bytes data) const {
  constexpr std::uint8_t kFirstVc1Unit = 0x0b;
  constexpr std::uint8_t kLastVc1Unit = 0x0d;  // slice, field, frame
  const auto is_slice = [this](Bytes unit) {
    switch (codec_) {
      case AV_CODEC_ID_H264: return h264::IsSlice(unit[0] & 0x1f);
      case AV_CODEC_ID_HEVC: return (unit[0] >> 1 & 0x3f) <= hevc::kLastVcl;
      default: return unit[0] >= kFirstVc1Unit && unit[0] <= kLastVc1Unit;
    }
  };
  const auto count = [&](int length_bytes) {
    UnitCount units{.slices = 0};
    ForEachUnit(data, length_bytes, [&](Bytes unit) {
      ++(is_slice(unit) ? units.slices : units.others);
      return true;
    });
    return units;
  };
  switch (codec_) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC: {
      // libavcodec decides by the packet whether it has start codes or lengths, regardless of the extradata.
      constexpr int kUsual = 4;
      const UnitCount coded = count(0);
      const UnitCount boxed = count(length_bytes_ == 0 ? kUsual : length_bytes_);
      return {std::max(coded.slices, boxed.slices), std::max(coded.others, boxed.others)};
    }
    case AV_CODEC_ID_VC1: return count(0);
    case AV_CODEC_ID_AV1: {
      std::int64_t pictures = 0;
      ForEachObu(data, [&](const Av1Obu& obu) {
        pictures += av1::BeginsPicture(obu.type) ? 1 : 0;
        return true;
      });
      return {.slices = pictures};
    }
    default: return {};
  }
}

AccessUnit AccessUnitReader::ReadBytes(Bytes packet, Bytes end, std::int64_t size) {
  if (packet.empty()) return {.has_picture = false};
  switch (codec_) {
    case AV_CODEC_ID_H264: return ReadH264(packet);
    case AV_CODEC_ID_HEVC: return ReadHevc(packet);
    case AV_CODEC_ID_MPEG4: return ReadMpeg4(packet);
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO: return ReadMpeg2(packet);
    case AV_CODEC_ID_VP8: return ReadVp8(packet);
    case AV_CODEC_ID_VP9: return ReadVp9(packet, end, size);
    case AV_CODEC_ID_AV1: return ReadAv1(packet, size);
    case AV_CODEC_ID_WMV1: return ReadWmv1(packet);
    case AV_CODEC_ID_WMV2: return ReadWmv2(packet);
    case AV_CODEC_ID_VC1:
    case AV_CODEC_ID_WMV3: return ReadVc1(packet);
    case AV_CODEC_ID_THEORA: return ReadTheora(packet);
    case AV_CODEC_ID_FFV1: return ReadFfv1(packet);
    default: return {.read = false};
  }
}

AccessUnit AccessUnitReader::ReadH264(Bytes packet) {
  constexpr int kSei = 6;
  AccessUnit unit{.has_picture = false};
  bool recovery = false;
  ForEachUnit(packet, length_bytes_, [&](Bytes nal) {
    const int type = nal[0] & 0x1f;
    if (type == kSei) {
      const Bytes sei = nal.subspan(1);
      recovery = recovery || IsRecoveryPoint(length_bytes_ == 0 ? sei.first(FindStartCode(sei, 0)) : sei);
    }
    h264_.Observe(nal);
    if (!h264::IsSlice(type)) return true;
    if (!unit.has_picture && type != h264::kIdrSlice) {
      const auto slice = h264_.ReadSlice(nal);
      unit.resets_order = slice && slice->has_mmco5;
    }
    unit.has_picture = true;
    unit.closed = type == h264::kIdrSlice;
    unit.intra = unit.closed || IsIntraSlice(nal.subspan(1));
    unit.random_access = unit.closed || (unit.intra && recovery);
    // Only an intra picture without a recovery point needs a look at its other slices. An IDR picture or a
    // recovery point counts for the whole picture, although slices of a second field may be predicted from
    // the first.
    return unit.intra && !unit.random_access;
  });
  unit.restarts_order = unit.closed || unit.resets_order;
  return unit;
}

AccessUnit AccessUnitReader::ReadHevc(Bytes packet) {
  AccessUnit unit{.has_picture = false};
  ForEachUnit(packet, length_bytes_, [&](Bytes nal) {
    const int type = nal[0] >> 1 & 0x3f;
    if (type == hevc::kEndOfSequence || type == hevc::kEndOfBitstream) sequence_ended_ = true;
    // Pictures of other layers, such as the second view of MV-HEVC, are not decoded.
    const bool first_layer = (nal[0] & 1) == 0 && (nal.size() < 2 || nal[1] >> 3 == 0);
    if (first_layer) hevc_.Observe(nal);
    if (type > hevc::kLastVcl || unit.has_picture || !first_layer) return true;
    unit.has_picture = true;
    unit.hidden = hevc_.IsHidden(nal);
    unit.random_access = type >= hevc::kFirstIrap && type <= hevc::kLastIrap;
    unit.closed = type == hevc::kFirstIdr || type == hevc::kLastIdr;
    unit.drops_rasl = unit.random_access && !unit.closed && (type != hevc::kCra || sequence_ended_);
    unit.restarts_order = unit.closed || unit.drops_rasl;
    constexpr int kNoOutputOfPriorPictures = 0x40;
    unit.discards_earlier =
        unit.restarts_order &&
        (type == hevc::kCra || (nal.size() > 2 && (nal[2] & kNoOutputOfPriorPictures) != 0));
    unit.is_rasl = type == hevc::kFirstRasl || type == hevc::kLastRasl;
    sequence_ended_ = false;
    return length_bytes_ != 0;
  });
  // The end of a sequence can only be at the end of a packet. In a packet with start codes, only its last
  // bytes are searched for it.
  constexpr std::size_t kEnd = 16;
  if (length_bytes_ == 0) {
    ForEachStartCode(packet.last(std::min(kEnd, packet.size())), [&](Bytes nal) {
      const int type = nal[0] >> 1 & 0x3f;
      sequence_ended_ = sequence_ended_ || type == hevc::kEndOfSequence || type == hevc::kEndOfBitstream;
      return true;
    });
  }
  return unit;
}

AccessUnit AccessUnitReader::ReadMpeg4(Bytes packet) {
  AccessUnit unit{.has_picture = false};
  ForEachStartCode(packet, [&](Bytes code) {
    if (code[0] >= mpeg4::kFirstLayer && code[0] <= mpeg4::kLastLayer) {
      if (const auto layer = ReadMpeg4Layer(code)) time_bits_ = layer->time_bits;
    }
    if (code[0] != mpeg4::kPicture) return true;
    const Mpeg4Picture picture = ReadMpeg4Picture(code, time_bits_);
    unit.has_picture = picture.coded;
    unit.random_access = unit.has_picture && code.size() > 1 && picture.type == Mpeg4Type::kI;
    return false;
  });
  return unit;
}

// Decoding can begin at every I picture: no picture refers to more than the two nearest that are not B
// pictures. Where a packet has no start codes, all of it is the picture.
AccessUnit AccessUnitReader::ReadVc1(Bytes packet) {
  constexpr std::uint8_t kClosedEntry = 0x40;
  const bool advanced = codec_ == AV_CODEC_ID_VC1;
  Bytes picture = packet;
  bool closed = !advanced && !vc1_.bidirectional;
  if (advanced && FindStartCode(packet, 0) == 0) {
    picture = {};
    ForEachStartCode(packet, [&](Bytes code) {
      if (code[0] == vc1::kSequence) vc1_ = ReadVc1Sequence(code.subspan(1), advanced);
      if (code[0] == vc1::kEntryPoint) closed = code.size() > 1 && (code[1] & kClosedEntry) != 0;
      if (code[0] == vc1::kFrame) picture = code.subspan(1);
      return picture.empty();
    });
  }
  const auto type = ReadVc1Type(picture, vc1_, advanced);
  const bool intra = type == Vc1Type::kIntra;
  return {.has_picture = type.has_value(),
          .random_access = intra,
          .closed = intra && closed,
          .bidirectional = type == Vc1Type::kBidirectional};
}

}  // namespace cosmos
