// Exact search in memory: the vectors with the largest dot products with a query.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"

namespace cosmos {

struct Neighbour {
  std::uint32_t row;
  float score;
};

// Compares `query` with every row of `vectors`, which has rows of query.size() floats, fewer than 2^32 of
// them. Returns at most `count` rows, best first; of equal scores the lower row. Rows whose score is not a
// finite number are left out. Runs on the calling thread, and faster than memory delivers the rows: two
// threads search two halves in half the time.
Result<std::vector<Neighbour>> Nearest(std::span<const float> vectors, std::span<const float> query,
                                       std::uint32_t count, const CancelToken& cancel);

}  // namespace cosmos
