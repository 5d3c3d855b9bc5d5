#include "media/plan/frame_rule.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace cosmos {
namespace {

std::vector<int> Rounded(int count, int wanted) {
  std::vector<int> frames(wanted);
  for (int i = 0; i < wanted && wanted > 1; ++i) {
    if (count < wanted) {
      frames[i] = std::min(i, count - 1);
      continue;
    }
    const std::int64_t span = std::int64_t{2} * i * (count - 1);
    const std::int64_t steps = wanted - 1;
    std::int64_t nearest = (span + steps) / (2 * steps);
    const bool is_half = (span + steps) % (2 * steps) == 0;
    if (is_half && nearest % 2 != 0) --nearest;
    frames[i] = static_cast<int>(nearest);
  }
  return frames;
}

// The curators compute in 32-bit floats. That decides samples that fall midway between two frames, which at
// 25 frames per second is every other one.
class CuratorSamples {
 public:
  CuratorSamples(const ShownFrames& frames, double rate)
      : frames_(&frames), first_(Time(0)), last_(Time(frames.count - 1)) {
    const double interval = 1 / rate;
    const float stop = last_ + static_cast<float>(interval * 0.5);
    count_ = std::ceil(static_cast<double>((stop - first_) / static_cast<float>(interval)));
    step_ = first_ + static_cast<float>(interval) - first_;
  }

  double count() const { return count_; }

  // The frame nearest to a sample; ties go to the earlier one.
  int Frame(double sample) const {
    const float time = first_ + static_cast<float>(sample) * step_;
    if (time >= last_) return frames_->count - 1;
    int low = 0;
    int high = frames_->count - 1;  // bounds of the first frame at `time` or later
    while (low < high) {
      const int middle = low + (high - low) / 2;
      if (Time(middle) < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low == 0) low = 1;
    return std::abs(time - Time(low)) < std::abs(time - Time(low - 1)) ? low : low - 1;
  }

 private:
  float Time(int frame) const { return static_cast<float>(frames_->clock(frame)); }

  const ShownFrames* frames_;
  float first_;
  float last_;
  float step_ = 0;
  double count_ = 0;
};

Result<std::vector<int>> Curator(const ShownFrames& frames, int wanted) {
  constexpr double kFirstRate = 2;
  constexpr double kLastRate = 20;
  double rate = kFirstRate;
  CuratorSamples samples(frames, rate);
  while (samples.count() < wanted && rate * 2 <= kLastRate) {
    rate *= 2;
    samples = CuratorSamples(frames, rate);
  }
  if (samples.count() < wanted) {
    return Status(StatusCode::kMedia, "the curators' rule needs " + std::to_string(wanted) +
                                          " samples but finds only " +
                                          std::to_string(static_cast<int>(samples.count())) + " at " +
                                          std::to_string(static_cast<int>(rate)) + " per second from " +
                                          std::to_string(frames.start) + " to " + std::to_string(frames.end) +
                                          " s; the rule \"card\" works for any video")
        .With("found", samples.count())
        .With("needed", static_cast<double>(wanted));
  }
  const double step = std::floor(samples.count() / wanted);
  std::vector<int> chosen;
  chosen.reserve(static_cast<std::size_t>(wanted));
  for (int i = 0; i < wanted; ++i) chosen.push_back(samples.Frame(i * step));
  return chosen;
}

Status AtEntry(std::size_t entry, const char* list, const std::string& value, const std::string& problem) {
  return Status(StatusCode::kMedia, "frameRule." + std::string(list) + "[" + std::to_string(entry) + "] is " +
                                        value + ", " + problem)
      .With("entry", static_cast<double>(entry));
}

Result<std::vector<int>> ByIndex(const FrameIndices& indices, const ShownFrames& frames) {
  std::vector<int> chosen;
  for (std::size_t i = 0; i < indices.values.size(); ++i) {
    const std::int64_t index = indices.values[i];
    if (index < 0 || index >= frames.count) {
      return AtEntry(i, "indices", std::to_string(index),
                     "but the range has the frames 0 to " + std::to_string(frames.count - 1))
          .With("frameCount", static_cast<double>(frames.count));
    }
    chosen.push_back(static_cast<int>(index));
  }
  return chosen;
}

Result<std::vector<int>> ByTime(const FrameTimes& times, const ShownFrames& frames) {
  constexpr double kRounding = 1e-6;  // printing and parsing a time must keep its frame
  std::vector<int> chosen;
  for (std::size_t i = 0; i < times.values.size(); ++i) {
    const double time = times.values[i];
    if (!(time >= frames.start - kRounding && time < frames.end)) {
      return AtEntry(i, "timestamps", std::to_string(time) + " s",
                     "but the range is from " + std::to_string(frames.start) + " to " +
                         std::to_string(frames.end) + " s")
          .With("start", frames.start)
          .With("end", frames.end);
    }
    int low = 0;  // searches for the last frame shown at or before `time`
    int high = frames.count - 1;
    while (low < high) {
      const int middle = low + (high - low + 1) / 2;
      if (frames.seconds(middle) <= time + kRounding) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    chosen.push_back(low);
  }
  return chosen;
}

}  // namespace

std::vector<int> ChooseFrames(int count, int wanted) {
  std::vector<int> frames(wanted);
  for (int i = 0; i < wanted && wanted > 1; ++i) {
    frames[i] = static_cast<int>(std::int64_t{i} * (count - 1) / (wanted - 1));
  }
  return frames;
}

Result<std::vector<int>> ChooseFrames(const FrameRule& rule, const ShownFrames& frames, int wanted) {
  if (const auto* indices = std::get_if<FrameIndices>(&rule)) return ByIndex(*indices, frames);
  if (const auto* times = std::get_if<FrameTimes>(&rule)) return ByTime(*times, frames);
  switch (std::get<NamedFrameRule>(rule)) {
    case NamedFrameRule::kCurator: return Curator(frames, wanted);
    case NamedFrameRule::kRounded: return Rounded(frames.count, wanted);
    case NamedFrameRule::kCard: break;
  }
  return ChooseFrames(frames.count, wanted);
}

}  // namespace cosmos
