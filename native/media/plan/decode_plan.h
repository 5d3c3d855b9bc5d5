// Which packets to decode for the frames that are wanted. A pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "media/plan/frame_index.h"

namespace cosmos {

struct PlanOptions {
  // Pictures that the decoder holds back: those it reorders plus one for each further thread. A seek empties
  // it, so a seek that skips no more than this gains nothing.
  int decoder_delay = 0;
  // A wanted frame may move by this much, in units of pts, to a frame that is cheaper to decode.
  std::int64_t tolerance = 0;
};

// Packets to send to a decoder that was reset just before, in decoding order, both ends included.
struct DecodeRun {
  int first = 0;
  int last = 0;
  bool operator==(const DecodeRun&) const = default;
};

struct DecodePlan {
  std::vector<int> chosen;      // for every rank asked for, in the order asked: the rank to take
  std::vector<int> wanted;      // places of the chosen, ascending, without duplicates
  std::vector<DecodeRun> runs;  // ascending, disjoint; every wanted place is in one

  bool wants(int place) const;
};

// `ranks` are frames of the index, ascending, duplicates allowed. Decoding the runs yields every wanted
// picture exactly as decoding everything would; packets of a run that are not wanted may be dropped by the
// decoder if no other picture refers to them.
DecodePlan PlanDecode(const FrameIndex& index, std::span<const int> ranks, const PlanOptions& options);

}  // namespace cosmos
