#include "media/bitstream/picture_parser.h"

#include <algorithm>

#include "media/bitstream/nal_units.h"

namespace cosmos {
namespace {

// The number of temporal sub-layers that an HEVC stream declares, or 0 when unknown. It is at a fixed place
// in hvcC extradata and in the SPS in Annex B.
int HevcTemporalLayers(std::span<const std::uint8_t> extradata) {
  constexpr std::size_t kHvccLayers = 21;
  if (extradata.size() > kHvccLayers && extradata[0] == 1) return (extradata[kHvccLayers] >> 3) & 7;
  for (std::size_t i = 0; i + 5 < extradata.size(); ++i) {
    if (extradata[i] != 0 || extradata[i + 1] != 0 || extradata[i + 2] != 1) continue;
    if (((extradata[i + 3] >> 1) & 0x3f) == hevc::kSps) return ((extradata[i + 5] >> 1) & 7) + 1;
  }
  return 0;
}

// What follows a start code of H.264 or MPEG.
enum class Unit { kOther, kFirstSlice, kSlice };
Unit UnitOf(AVCodecID codec, std::uint8_t code, std::uint8_t next) {
  constexpr std::uint8_t kLastSlice = 0xaf;
  if (codec != AV_CODEC_ID_H264) {
    // A picture header counts as the picture's first slice.
    return code == 0 ? Unit::kFirstSlice : code <= kLastSlice ? Unit::kSlice : Unit::kOther;
  }
  const int type = code & 0x1f;
  if (!h264::IsSlice(type)) return Unit::kOther;
  return (next & 0x80) != 0 ? Unit::kFirstSlice : Unit::kSlice;  // first_mb_in_slice is 0
}

}  // namespace

std::size_t SecondFieldOffset(AVCodecID codec, std::span<const std::uint8_t> packet) {
  if (codec != AV_CODEC_ID_H264 && codec != AV_CODEC_ID_MPEG1VIDEO && codec != AV_CODEC_ID_MPEG2VIDEO)
    return packet.size();
  bool in_picture = false;
  std::size_t between = 0;  // start of the units between the slices so far and the next
  for (std::size_t i = 0; i + 4 < packet.size(); ++i) {
    if (packet[i] != 0 || packet[i + 1] != 0 || packet[i + 2] != 1) continue;
    const Unit unit = UnitOf(codec, packet[i + 3], packet[i + 4]);
    const std::size_t code = i > 0 && packet[i - 1] == 0 ? i - 1 : i;
    if (unit == Unit::kFirstSlice && in_picture) return between != 0 ? between : code;
    if (unit == Unit::kOther) {
      if (in_picture && between == 0) between = code;
    } else {
      in_picture = true;
      between = 0;
    }
    i += 2;
  }
  return packet.size();
}

PictureParser::PictureParser(const AVCodecParameters& parameters)
    : context_(avcodec_alloc_context3(nullptr)), parser_(av_parser_init(parameters.codec_id)) {
  if (context_) avcodec_parameters_to_context(context_.get(), &parameters);
  if (parser_) parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
}

// Recreates the parser, since it reads its parameter sets only once.
void PictureParser::Configure(std::span<const std::uint8_t> extradata) {
  parser_.reset(av_parser_init(context_->codec_id));
  if (parser_) parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
  av_freep(static_cast<void*>(&context_->extradata));
  context_->extradata_size = 0;
  context_->extradata =
      static_cast<std::uint8_t*>(av_mallocz(extradata.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  if (!context_->extradata) return;
  std::ranges::copy(extradata, context_->extradata);
  context_->extradata_size = static_cast<int>(extradata.size());
}

bool CanSkipNonReference(const AVCodecParameters& parameters) {
  switch (parameters.codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4: return true;
    case AV_CODEC_ID_HEVC:
      // A "sub-layer non-reference" picture is not referenced by its own layer, but may be by a higher one.
      return HevcTemporalLayers(
                 {parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)}) == 1;
    default: return false;
  }
}

const AVCodecParserContext* PictureParser::Parse(const AVPacket& packet) {
  if (!parser_ || !context_) return nullptr;
  std::size_t extradata_size = 0;
  const std::uint8_t* extradata =
      av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &extradata_size);
  if (extradata) Configure({extradata, extradata_size});
  if (!parser_) return nullptr;
  std::uint8_t* data = nullptr;
  int size = 0;
  av_parser_parse2(parser_.get(), context_.get(), &data, &size, packet.data, packet.size, AV_NOPTS_VALUE,
                   AV_NOPTS_VALUE, -1);
  return parser_.get();
}

}  // namespace cosmos
