#include "search/nearest.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace cosmos {
namespace {

// SSE and NEON have this size on every processor that the package supports. Wider registers would gain
// nothing, because the rows come from memory more slowly than these instructions take them.
constexpr std::size_t kLanes = 4;
using Floats [[gnu::vector_size(kLanes * sizeof(float))]] = float;

// Independent sums, so that an addition need not wait for the one before it.
constexpr std::size_t kSums = 4;
constexpr std::size_t kStep = kLanes * kSums;

// How far ahead of the arithmetic rows are fetched, in bytes: a page of memory, where the processor's own
// prefetching ends. This nearly doubles the speed.
constexpr std::size_t kPrefetch = 4096;

// How many rows are compared between two looks at the cancel token.
constexpr std::size_t kRowsPerPoll = 4096;

inline Floats Load(const float* from) {
  Floats floats;
  std::memcpy(&floats, from, sizeof(floats));
  return floats;
}

// `a` is the one that comes from memory.
float Dot(const float* a, const float* b, std::size_t size) {
  Floats sum0{};
  Floats sum1{};
  Floats sum2{};
  Floats sum3{};
  std::size_t i = 0;
  for (; i + kStep <= size; i += kStep) {
    // Of an address beyond the last row the processor fetches nothing.
    __builtin_prefetch(reinterpret_cast<const char*>(a + i) + kPrefetch);
    sum0 += Load(a + i) * Load(b + i);
    sum1 += Load(a + i + kLanes) * Load(b + i + kLanes);
    sum2 += Load(a + i + 2 * kLanes) * Load(b + i + 2 * kLanes);
    sum3 += Load(a + i + 3 * kLanes) * Load(b + i + 3 * kLanes);
  }
  const Floats sum = (sum0 + sum1) + (sum2 + sum3);
  float dot = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  for (; i < size; ++i) dot += a[i] * b[i];
  return dot;
}

bool IsBetter(const Neighbour& a, const Neighbour& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

}  // namespace

Result<std::vector<Neighbour>> Nearest(std::span<const float> vectors, std::span<const float> query,
                                       std::uint32_t count, const CancelToken& cancel) {
  const std::size_t rows = vectors.size() / query.size();
  // A heap with the worst of the best rows first.
  std::vector<Neighbour> best;
  best.reserve(std::min<std::size_t>(count, rows) + 1);
  for (std::size_t row = 0; row < rows; ++row) {
    if (row % kRowsPerPoll == 0 && cancel.cancelled()) {
      return Status(StatusCode::kCancelled, "the search was cancelled");
    }
    const float score = Dot(vectors.data() + row * query.size(), query.data(), query.size());
    // Rows come in ascending order, so one that is equal to the worst of the best is worse.
    const bool is_full = best.size() == count;
    if (!std::isfinite(score) || (is_full && score <= best.front().score)) continue;
    best.push_back({static_cast<std::uint32_t>(row), score});
    std::push_heap(best.begin(), best.end(), IsBetter);
    if (is_full) {
      std::pop_heap(best.begin(), best.end(), IsBetter);
      best.pop_back();
    }
  }
  std::sort_heap(best.begin(), best.end(), IsBetter);
  return best;
}

}  // namespace cosmos
