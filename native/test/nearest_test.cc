// Exact search against sorting all scores.
#include "search/nearest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

namespace cosmos {
namespace {

std::vector<Neighbour> SortAll(const std::vector<float>& vectors, const std::vector<float>& query,
                               std::uint32_t count) {
  std::vector<std::tuple<double, std::uint32_t>> scores;
  for (std::uint32_t row = 0; row < vectors.size() / query.size(); ++row) {
    double dot = 0;
    for (std::size_t i = 0; i < query.size(); ++i) dot += double{vectors[row * query.size() + i]} * query[i];
    if (std::isfinite(dot)) scores.emplace_back(-dot, row);
  }
  std::sort(scores.begin(), scores.end());
  scores.resize(std::min<std::size_t>(count, scores.size()));
  std::vector<Neighbour> best;
  best.reserve(scores.size());
  for (const auto& [negative, row] : scores) best.push_back({row, static_cast<float>(-negative)});
  return best;
}

class NearestTest : public testing::TestWithParam<std::tuple<int, int, int>> {};

// Small whole numbers have exact sums, so that equal scores are frequent and the order of the rows is known.
TEST_P(NearestTest, FindsWhatSortingFinds) {
  const auto [size, rows, count] = GetParam();
  std::mt19937 random(size * 1000 + rows + count);
  std::uniform_int_distribution<int> number(-3, 3);
  std::vector<float> query(size);
  std::vector<float> vectors(std::size_t{1} * size * rows);
  for (float& value : query) value = static_cast<float>(number(random));
  for (float& value : vectors) value = static_cast<float>(number(random));
  query[0] = 1;
  vectors[size * (rows / 2)] = std::numeric_limits<float>::quiet_NaN();
  vectors[size * (rows - 1)] = std::numeric_limits<float>::infinity();

  const auto found = Nearest(vectors, query, count, CancelToken());
  ASSERT_TRUE(found.ok()) << found.status().message();
  const auto expected = SortAll(vectors, query, count);
  ASSERT_EQ(found.value().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found.value()[i].row, expected[i].row) << i;
    EXPECT_EQ(found.value()[i].score, expected[i].score) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, NearestTest,
                         testing::Combine(testing::Values(1, 3, 16, 31, 256, 768), testing::Values(1, 2, 500),
                                          testing::Values(1, 7, 499, 1000)));

TEST(NearestTest, EndsWhenItIsCancelled) {
  CancelToken cancel;
  cancel.Cancel();
  const std::vector<float> vectors(64, 1);
  const std::vector<float> query(4, 1);
  EXPECT_EQ(Nearest(vectors, query, 3, cancel).status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace cosmos
