#include "ffmpeg/capabilities.h"

#include "ffmpeg/ffmpeg.h"

namespace cosmos {
namespace {

std::string VersionName(unsigned version) {
  return std::to_string(AV_VERSION_MAJOR(version)) + "." + std::to_string(AV_VERSION_MINOR(version)) + "." +
         std::to_string(AV_VERSION_MICRO(version));
}

}  // namespace

FfmpegCapabilities DescribeFfmpeg() {
  FfmpegCapabilities capabilities{.avcodec = VersionName(avcodec_version()),
                                  .avformat = VersionName(avformat_version()),
                                  .license = avcodec_license(),
                                  .configuration = avcodec_configuration(),
                                  .demuxers = {},
                                  .decoders = {}};
  void* position = nullptr;
  while (const AVInputFormat* demuxer = av_demuxer_iterate(&position)) {
    if (av_match_list(demuxer->name, ff::AllowedDemuxers(), ','))
      capabilities.demuxers.emplace_back(demuxer->name);
  }
  position = nullptr;
  while (const AVCodec* codec = av_codec_iterate(&position)) {
    const bool allowed = av_match_name(codec->name, ff::AllowedDecoders()) ||
                         av_match_name(codec->name, ff::AllowedPictureDecoders());
    if (av_codec_is_decoder(codec) && allowed) {
      capabilities.decoders.emplace_back(codec->name);
    }
  }
  return capabilities;
}

}  // namespace cosmos
