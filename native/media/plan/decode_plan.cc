#include "media/plan/decode_plan.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <utility>

namespace cosmos {
namespace {

// The frame within the tolerance and the bounds with the fewest packets since its keyframe; a keyframe has
// none. Ties go to the nearest, then to the earliest frame.
int Cheapest(const FrameIndex& index, int rank, std::int64_t tolerance, const FrameBounds& bounds) {
  const std::int64_t time = index.time(rank);
  const auto cost = [&](int candidate) {
    const int place = index.place(candidate);
    const std::int64_t distance = std::abs(index.time(candidate) - time);
    return std::tuple(place - index.KeyframeFor(place), distance, candidate);
  };
  const int first = std::max(bounds.first, 0);
  const int last = std::min(bounds.last, index.frame_count() - 1);
  auto best = cost(rank);
  for (int r = rank - 1; r >= first && std::abs(index.time(r) - time) <= tolerance; --r)
    best = std::min(best, cost(r));
  for (int r = rank + 1; r <= last && std::abs(index.time(r) - time) <= tolerance; ++r)
    best = std::min(best, cost(r));
  return std::get<2>(best);
}

}  // namespace

bool DecodePlan::wants(int place) const { return std::ranges::binary_search(wanted, place); }

DecodePlan PlanDecode(const FrameIndex& index, std::span<const int> ranks, const PlanOptions& options) {
  DecodePlan plan;
  std::vector<std::pair<int, FrameBounds>> wanted;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const FrameBounds bounds = options.bounds.empty() ? FrameBounds{} : options.bounds[i];
    const int rank = ranks[i];
    plan.chosen.push_back(options.tolerance > 0 ? Cheapest(index, rank, options.tolerance, bounds) : rank);
    wanted.emplace_back(index.place(plan.chosen.back()), bounds);
  }
  std::ranges::stable_sort(wanted, {}, &std::pair<int, FrameBounds>::first);
  for (const auto& [place, bounds] : wanted) {
    if (plan.wanted.empty() || plan.wanted.back() != place) {
      plan.wanted.push_back(place);
      plan.bounds.push_back(bounds);
    } else {
      plan.bounds.back() = plan.bounds.back().Within(bounds);
    }
  }
  if (options.bounds.empty()) plan.bounds.clear();

  for (const int place : plan.wanted) {
    const int keyframe = index.KeyframeFor(place);
    if (plan.runs.empty()) {
      plan.runs.push_back({keyframe, place});
      continue;
    }
    DecodeRun& run = plan.runs.back();
    const int skipped = keyframe - (run.last + 1);
    if (skipped > options.decoder_delay) {
      plan.runs.push_back({keyframe, place});
    } else {
      run.last = place;
    }
  }
  return plan;
}

}  // namespace cosmos
