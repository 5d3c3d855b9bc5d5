// Describes the FFmpeg libraries found at run time: versions, licence, and the demuxers and decoders that are
// both present and allowed here.
#pragma once

#include <string>
#include <vector>

namespace cosmos {

struct FfmpegCapabilities {
  std::string avcodec;  // version, e.g. "59.37.100"
  std::string avformat;
  std::string license;
  std::string configuration;
  // Short names. Only those on the allow lists.
  std::vector<std::string> demuxers;
  std::vector<std::string> decoders;
};

FfmpegCapabilities DescribeFfmpeg();

}  // namespace cosmos
