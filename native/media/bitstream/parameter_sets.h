// Parameter sets that a container brings in mid-stream, outside of the pictures: a sequence header of its own
// in FLV, another sample entry in MP4. A demuxer hands them out once, with the packet that comes next. A
// decoder that enters the stream behind that packet would go on with others, and make garbage.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

class ParameterSets {
 public:
  ParameterSets() = default;
  // Those that hold from the first packet on.
  explicit ParameterSets(const AVCodecParameters& parameters);

  // While packets are listed in decoding order: `packet` is at `place` and may bring others.
  void Note(int place, const AVPacket& packet);

  // Whether they ever change.
  bool change() const { return sets_.size() > 1; }
  // The number of those that hold at `place`.
  int At(int place) const;
  // Makes the packet bring along set `number`, in place of any that it has.
  Status Attach(int number, AVPacket& packet) const;

 private:
  struct Set {
    int first = 0;  // the place from which it holds
    std::vector<std::uint8_t> extradata;
  };
  std::vector<Set> sets_;  // by place
};

}  // namespace cosmos
