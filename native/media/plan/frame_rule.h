// Chooses which frames of a window become its clip. Pure functions of when the frames are shown.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace cosmos {

enum class NamedFrameRule {
  // The model card's rule, which NVIDIA's open server follows on a GPU: frame floor(i * (N - 1) / (T - 1)).
  kCard,
  // The rule of NVIDIA's curators (cosmos-curate, NeMo Curator): samples the nearest frame twice a second,
  // doubling the rate up to 20 while there are fewer than T samples. Takes every floor(samples / T)-th
  // sample.
  kCurator,
  // The rule of NVIDIA's Video Search and Summarization: frame round(i * (N - 1) / (T - 1)), halves to even.
  // Takes all of fewer than T frames and repeats the last one.
  kRounded,
};

// The caller's own choice: one entry for each frame of the clip, in any order.
struct FrameIndices {
  std::vector<std::int64_t> values;  // in presentation order, counted from the window's first frame
};
struct FrameTimes {
  std::vector<double> values;  // seconds; selects the frame that is on screen then
};

using FrameRule = std::variant<NamedFrameRule, FrameIndices, FrameTimes>;

// The frames of a window.
struct ShownFrames {
  int count = 0;                       // at least 1
  std::function<double(int)> seconds;  // when a frame is shown, on the timeline of the request's `start`
  std::function<double(int)> clock;    // the same on the file's own timeline, which the curators' rule uses
  double start = 0;                    // seconds; of the window
  double end = 0;
};

// Chooses `wanted` >= 1 frames, each from 0 to count - 1. Fails with kMedia when the curators' rule finds too
// few frames, or an index or time of the caller is outside the window.
Result<std::vector<int>> ChooseFrames(const FrameRule& rule, const ShownFrames& frames, int wanted);

// The model card's rule, which cannot fail.
std::vector<int> ChooseFrames(int count, int wanted);

}  // namespace cosmos
