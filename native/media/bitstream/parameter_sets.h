// Tracks what a container tells decoders outside of the pictures: a further sequence header in FLV, another
// sample entry in MP4, the palette of an AVI. A demuxer returns it once, with the next packet. A decoder that
// seeks past that packet would use the wrong parameter sets and produce garbage, or black without its
// palette.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

class ParameterSets {
 public:
  ParameterSets() = default;
  // Starts with the sets that apply from the first packet on.
  explicit ParameterSets(const AVCodecParameters& parameters);

  // Records the sets that `packet` carries, if any. Called in decoding order.
  void Observe(int place, const AVPacket& packet);

  // Whether the sets ever change.
  bool change() const { return sets_.size() > 1; }
  // The number of the sets that apply at `place`.
  int At(int place) const;
  // Attaches sets `number` to the packet, replacing any that it has.
  Status Attach(int number, AVPacket& packet) const;

 private:
  struct Set {
    int first = 0;  // the place from which it applies
    std::vector<std::uint8_t> extradata;
    std::vector<std::uint8_t> palette;
  };
  std::vector<Set> sets_;  // by place
  bool extradata_changes_ = false;
};

}  // namespace cosmos
