// Plans which packets to decode for the wanted frames. A pure function.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "media/plan/frame_index.h"

namespace cosmos {

// The frames from `first` to `last`, by rank.
struct FrameBounds {
  int first = 0;
  int last = std::numeric_limits<int>::max();

  bool Include(int rank) const { return first <= rank && rank <= last; }
  FrameBounds Within(const FrameBounds& other) const {
    return {std::max(first, other.first), std::min(last, other.last)};
  }
};

struct PlanOptions {
  // How many pictures the decoder holds back: those it reorders, plus one for each further thread. Seeking
  // flushes the decoder, so a seek that skips no more than this gains nothing.
  int decoder_delay = 0;
  // How far a wanted frame may move, in units of pts, to a frame that is cheaper to decode.
  std::int64_t tolerance = 0;
  // The frames among which each requested rank may move, parallel to the ranks. Empty: all frames.
  std::span<const FrameBounds> bounds = {};
};

// A range of packets, both ends included, for a decoder that was just reset. In decoding order.
struct DecodeRun {
  int first = 0;
  int last = 0;
  bool operator==(const DecodeRun&) const = default;
};

struct DecodePlan {
  std::vector<int> chosen;  // for each requested rank, in order: the rank to use
  std::vector<int> wanted;  // places of the chosen frames, ascending, unique
  // Parallel to `wanted`: the frames that stand in for it first when it cannot be decoded. Empty: all frames.
  std::vector<FrameBounds> bounds;
  std::vector<DecodeRun> runs;  // ascending, disjoint; they cover every wanted place

  bool wants(int place) const;
};

// `ranks` are frames of the index, ascending; duplicates are allowed. Decoding the runs yields every wanted
// picture exactly as decoding everything would. The decoder may drop unwanted packets of a run if no other
// picture refers to them.
DecodePlan PlanDecode(const FrameIndex& index, std::span<const int> ranks, const PlanOptions& options);

}  // namespace cosmos
