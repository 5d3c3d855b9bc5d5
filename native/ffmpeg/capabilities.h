// What the FFmpeg that was found at run time can do.
#pragma once

#include <string>
#include <vector>

namespace cosmos {

struct FfmpegCapabilities {
  std::string avcodec;  // version, e.g. "59.37.100"
  std::string avformat;
  std::string license;
  std::string configuration;
  // Short names, of those that are allowed here.
  std::vector<std::string> demuxers;
  std::vector<std::string> decoders;
};

FfmpegCapabilities DescribeFfmpeg();

}  // namespace cosmos
