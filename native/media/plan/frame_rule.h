// Which frames of a video become a clip. Pure functions of when the frames are shown.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace cosmos {

enum class NamedFrameRule {
  // Frame floor(i * (N - 1) / (T - 1)): the model card's, and NVIDIA's open server's on a GPU.
  kCard,
  // NVIDIA's curators (cosmos-curate, NeMo Curator): samples 2 times a second, the nearest frame each;
  // doubles
  // the rate up to 20 while there are fewer than T; then takes every n-th, n = samples / T, and leaves the
  // rest.
  kCurator,
  // NVIDIA's Video Search and Summarization: frame round(i * (N - 1) / (T - 1)), halves to the even one;
  // fewer
  // than T frames are all taken, and the last of them repeated.
  kRounded,
};

// The caller's own choice, one for every frame of the clip, in any order.
struct FrameIndices {
  std::vector<std::int64_t> values;  // among the frames of the range, in presentation order
};
struct FrameTimes {
  std::vector<double> values;  // seconds: the frame that is on screen then
};

using FrameRule = std::variant<NamedFrameRule, FrameIndices, FrameTimes>;

// The frames of a range.
struct ShownFrames {
  int count = 0;                       // at least 1
  std::function<double(int)> seconds;  // when a frame is shown, on the timeline of the request's `start`
  std::function<double(int)> clock;    // the same as its file counts, where that is what a rule looks at
  double start = 0;                    // seconds: of the range
  double end = 0;
};

// `wanted` >= 1 frames, each from 0 to count - 1. Fails with kMedia where a rule finds too few frames, or
// none where the caller wants one.
Result<std::vector<int>> ChooseFrames(const FrameRule& rule, const ShownFrames& frames, int wanted);

// The card's rule.
std::vector<int> ChooseFrames(int count, int wanted);

}  // namespace cosmos
