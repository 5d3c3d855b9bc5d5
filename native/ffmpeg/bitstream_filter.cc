#include "ffmpeg/bitstream_filter.h"

#include <string>
#include <utility>

namespace cosmos {
namespace {

const char* FilterName(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264: return "h264_mp4toannexb";
    case AV_CODEC_ID_HEVC: return "hevc_mp4toannexb";
    case AV_CODEC_ID_MPEG4: return "mpeg4_unpack_bframes";
    default: return nullptr;
  }
}

}  // namespace

Result<BitstreamFilter> BitstreamFilter::Open(const AVCodecParameters& parameters) {
  BitstreamFilter opened;
  if (!opened.parameters_ || !opened.out_ ||
      avcodec_parameters_copy(opened.parameters_.get(), &parameters) < 0) {
    return Status(StatusCode::kOutOfMemory, "no memory for a bitstream filter");
  }
  const char* name = FilterName(parameters.codec_id);
  if (!name) return opened;
  const AVBitStreamFilter* kind = av_bsf_get_by_name(name);
  AVBSFContext* filter = nullptr;
  if (!kind) {
    return Status(StatusCode::kMedia, std::string("this FFmpeg lacks the bitstream filter ") + name);
  }
  if (av_bsf_alloc(kind, &filter) < 0) return Status(StatusCode::kOutOfMemory, "no memory for a filter");
  opened.filter_.reset(filter);
  if (avcodec_parameters_copy(filter->par_in, &parameters) < 0 || av_bsf_init(filter) < 0) {
    return Status(StatusCode::kMedia, std::string("the bitstream filter ") + name + " refused the stream");
  }
  return opened;
}

std::span<const std::uint8_t> BitstreamFilter::headers() const {
  const AVCodecParameters& parameters = filter_ ? *filter_->par_out : *parameters_;
  switch (parameters.codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
      return {parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)};
    default: return {};  // their extradata is not part of the bitstream
  }
}

}  // namespace cosmos
