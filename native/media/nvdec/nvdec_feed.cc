#include "media/nvdec/nvdec_feed.h"

#include <utility>

#include "ffmpeg/colour.h"
#include "media/bitstream/h264_headers.h"
#include "media/bitstream/picture_parser.h"

namespace cosmos {
namespace {

// The matrix and range that libavcodec gives to pictures for which the stream states none. Only its decoder
// of H.264 takes those of the container.
std::pair<AVColorSpace, AVColorRange> UnstatedColours(const AVCodecParameters& parameters) {
  if (parameters.codec_id != AV_CODEC_ID_H264) return {AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_MPEG};
  H264Headers headers;
  headers.ReadExtradata({parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)});
  const H264Sps* const sps = headers.first_sps();
  return {sps && sps->states_colours ? AVCOL_SPC_UNSPECIFIED : ff::MatrixIn(parameters.color_space),
          sps && sps->states_range ? AVCOL_RANGE_MPEG : ff::RangeIn(parameters.color_range)};
}

}  // namespace

CodedStream CodedStreamOf(const AVCodecParameters& parameters) {
  const auto [matrix, range] = UnstatedColours(parameters);
  return {.codec = parameters.codec_id,
          .format = PictureFormatOf(parameters).value_or(PictureFormat()),
          .width = parameters.width,
          .height = parameters.height,
          .color_space = matrix,
          .color_range = range,
          .can_skip = CanSkipNonReference(parameters)};
}

Status NvdecFeed::Send(AVPacket& packet, int place, bool wanted) {
  if (stream_->gave_up()) {
    ++refused_;
    return {};
  }
  const AVCodecID codec = filter_.parameters().codec_id;
  const IndexedPacket& indexed = index_.packet(place);
  const CodedPacket whole{.place = place,
                          .order = index_.order(place),
                          .has_picture = indexed.has_picture,
                          .shown = indexed.shown,
                          .wanted = wanted,
                          .hidden = (packet.flags & AV_PKT_FLAG_DISCARD) != 0};
  Status status;
  bool sent = false;
  const bool intact = filter_.Apply(packet, [&](const AVPacket& filtered) {
    if (!status.ok() || filtered.size <= 0) return;
    CodedPacket part = whole;
    part.data = {filtered.data, static_cast<std::size_t>(filtered.size)};
    if (codec == AV_CODEC_ID_VP8) part.vpx_colour = ColourOfVp8(part.data);
    if (codec == AV_CODEC_ID_VP9) part.vpx_colour = ColourOfVp9(part.data);
    part.second_field = SecondFieldOffset(codec, part.data);
    sent = true;
    status = stream_->Send(part);
  });
  if (!status.ok() || (intact && sent)) return status;
  CodedPacket rest = whole;
  rest.damaged = !intact;
  return stream_->Send(rest);
}

void NvdecFeed::Reset() {
  filter_.Reset();
  stream_->Reset();
}

void NvdecFeed::Release() {
  filter_.Reset();
  stream_->Release();
}

std::string NvdecBackend::WhyNot(const AVCodecParameters& parameters, const ParameterSets& parameter_sets) {
  // NVDEC's parser gets the parameter sets only once, before the first packet.
  if (parameter_sets.change()) return "the container changes the parameter sets in mid-stream";
  // What the parameters leave open is checked again when NVDEC's parser has read the sequence header.
  return WhyNot(CodedStreamOf(parameters));
}

Result<std::unique_ptr<HardwareDecoder>> NvdecBackend::Open(const AVCodecParameters& parameters,
                                                            const FrameIndex& index,
                                                            const DecodeLimits& limits,
                                                            const JobGuard& guard) {
  COSMOS_ASSIGN_OR_RETURN(auto filter, BitstreamFilter::Open(parameters));
  CodedStream stream = CodedStreamOf(filter.parameters());
  const auto headers = filter.headers();
  if (headers.size() > kMaxHeaderBytes)
    return Status(StatusCode::kMedia, "the stream's headers are too long");
  stream.headers.assign(headers.begin(), headers.end());
  COSMOS_ASSIGN_OR_RETURN(auto decoder, Open(std::move(stream), limits, guard));
  return std::unique_ptr<HardwareDecoder>(new NvdecFeed(std::move(filter), index, std::move(decoder)));
}

}  // namespace cosmos
