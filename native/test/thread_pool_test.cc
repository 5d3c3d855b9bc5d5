#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <vector>

namespace cosmos {
namespace {

TEST(ThreadPool, OneThreadKeepsTheOrder) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Submit([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(ThreadPool, JobsRunAtTheSameTime) {
  // Each job waits for the other two: fewer than three threads would never end.
  std::latch together(3);
  ThreadPool pool(3);
  EXPECT_EQ(pool.size(), 3);
  for (int i = 0; i < 3; ++i) pool.Submit([&together] { together.arrive_and_wait(); });
}

TEST(ThreadPool, DestructionRunsWhatWaitsAndWhatJobsAdd) {
  std::atomic<int> ran = 0;
  {
    ThreadPool pool(2);
    for (int i = 0; i < 50; ++i) {
      pool.Submit([&] {
        ++ran;
        pool.Submit([&ran] { ++ran; });
      });
    }
  }
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace cosmos
