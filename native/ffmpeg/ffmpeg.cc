#include "ffmpeg/ffmpeg.h"

#include <cerrno>
#include <cstdarg>
#include <mutex>
#include <string_view>

namespace cosmos::ff {

std::string ErrorName(int error) {
  switch (error) {
    case AVERROR_INVALIDDATA: return "invalid data";
    case AVERROR_EOF: return "unexpected end of data";
    case AVERROR_PATCHWELCOME: return "a feature that FFmpeg does not support";
    case AVERROR_DECODER_NOT_FOUND: return "no decoder";
    case AVERROR_DEMUXER_NOT_FOUND: return "no demuxer";
    case AVERROR_STREAM_NOT_FOUND: return "no such stream";
    case AVERROR_BUG:
    case AVERROR_BUG2: return "an internal error of FFmpeg";
    case AVERROR_EXIT: return "interrupted";
    case AVERROR_EXTERNAL: return "an error of a decoder library";
    case AVERROR(EINVAL): return "invalid argument";
    case AVERROR(ENOMEM): return "out of memory";
    case AVERROR(EIO): return "input/output error";
    case AVERROR(ENOSYS): return "not implemented";
    case AVERROR(EAGAIN): return "not ready";
    default: return "error " + std::to_string(error);
  }
}

void SilenceLog() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback([](void*, int, const char*, va_list) {}); });
}

const AVCodec* FindDecoder(AVCodecID codec) {
  void* position = nullptr;
  while (const AVCodec* candidate = av_codec_iterate(&position)) {
    // FFmpeg's native AV1 decoder only drives hardware, so an external library must decode AV1.
    const bool hardware_only = codec == AV_CODEC_ID_AV1 && std::string_view(candidate->name) == "av1";
    if (candidate->id == codec && av_codec_is_decoder(candidate) && !hardware_only &&
        av_match_name(candidate->name, AllowedDecoders())) {
      return candidate;
    }
  }
  return nullptr;
}

const char* AllowedDemuxers() {
  return "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,h264,hevc,av1,obu,ivf,dv,gif,"
         "apng,"
         "yuv4mpegpipe";
}

const char* AllowedDecoders() {
  return "h264,hevc,libdav1d,libaom-av1,av1,vp8,vp9,libvpx,libvpx-vp9,vc1,wmv3,mpeg4,mpeg2video,mpeg1video,"
         "mjpeg,prores,theora,wmv1,wmv2,ffv1,dvvideo,rawvideo,gif,apng";
}

const char* ProbedDecoders() {
  static const std::string names = [] {
    std::string all = AllowedDecoders();
    for (const std::string_view name : {",mjpeg", ",ffv1"}) all.erase(all.find(name), name.size());
    return all;
  }();
  return names.c_str();
}

const char* AllowedPictureDecoders() { return "mjpeg,png,webp"; }

}  // namespace cosmos::ff
