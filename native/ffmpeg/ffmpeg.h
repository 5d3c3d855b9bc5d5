// The only header that includes FFmpeg. Gives its types owners, hides differences between its versions, and
// holds the allow lists of demuxers and decoders.
#pragma once

#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/display.h>
#include <libavutil/encryption_info.h>
#include <libavutil/error.h>
#include <libavutil/imgutils.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

// Stream side data moved from AVStream to AVCodecParameters in FFmpeg 6.1.
#define COSMOS_HAVE_CODED_SIDE_DATA (LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 0))
// Before FFmpeg 6, a decoder must be told that get_buffer2 may be called from its threads.
#ifndef FF_API_THREAD_SAFE_CALLBACKS
#define FF_API_THREAD_SAFE_CALLBACKS 0
#endif

namespace cosmos::ff {

struct Free {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
  void operator()(AVCodecParameters* parameters) const { avcodec_parameters_free(&parameters); }
  void operator()(AVBSFContext* filter) const { av_bsf_free(&filter); }
  void operator()(AVFormatContext* context) const { avformat_close_input(&context); }
  void operator()(SwsContext* context) const { sws_freeContext(context); }
  void operator()(AVIOContext* context) const {
    av_freep(static_cast<void*>(&context->buffer));
    avio_context_free(&context);
  }
};

using Packet = std::unique_ptr<AVPacket, Free>;
using Frame = std::unique_ptr<AVFrame, Free>;
using CodecContext = std::unique_ptr<AVCodecContext, Free>;
using Parser = std::unique_ptr<AVCodecParserContext, Free>;
using CodecParameters = std::unique_ptr<AVCodecParameters, Free>;
using Filter = std::unique_ptr<AVBSFContext, Free>;
using FormatContext = std::unique_ptr<AVFormatContext, Free>;
using ScalerContext = std::unique_ptr<SwsContext, Free>;
using IoContext = std::unique_ptr<AVIOContext, Free>;

// Describes an AVERROR code, e.g. "invalid data". FFmpeg's own messages are never passed on: they may quote
// memory addresses and file contents.
std::string ErrorName(int error);

// Silences FFmpeg's log, because a library must not write to its process's stderr. Idempotent.
void SilenceLog();

// Returns the preferred allowed decoder for a codec, or null.
const AVCodec* FindDecoder(AVCodecID codec);

// Comma-separated names, in the format of FFmpeg's whitelist options.
const char* AllowedDemuxers();
const char* AllowedDecoders();
// The decoders that FFmpeg may use while it probes a stream, before its packets have been checked. Excludes
// Motion JPEG and FFV1, whose pictures can take hours to decode and tell nothing that is needed.
const char* ProbedDecoders();
// The decoders for still pictures.
const char* AllowedPictureDecoders();

}  // namespace cosmos::ff
