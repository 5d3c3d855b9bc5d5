#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace cosmos {
namespace {

TEST(ThreadPool, OneThreadKeepsTheOrderOfJobs) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Submit([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(ThreadPool, JobsRunAtTheSameTime) {
  // Each job waits for the other two, so fewer than three threads would never finish.
  std::latch together(3);
  ThreadPool pool(3);
  for (int i = 0; i < 3; ++i) pool.Submit([&together] { together.arrive_and_wait(); });
}

TEST(ThreadPool, StartsThreadsAsTheyAreNeededUpToTheLimit) {
  ThreadPool pool(2);
  EXPECT_EQ(pool.size(), 0);
  for (int i = 0; i < 3; ++i) {
    // Submitted one after the other, so the existing thread takes each.
    std::latch done(1);
    pool.Submit([&done] { done.count_down(); });
    done.wait();
    while (pool.idle() != pool.size()) std::this_thread::yield();
    EXPECT_EQ(pool.size(), 1);
  }
  std::latch release(1);
  for (int i = 0; i < 5; ++i) pool.Submit([&release] { release.wait(); });
  EXPECT_EQ(pool.size(), 2);
  release.count_down();
}

TEST(ThreadPool, DestructionRunsQueuedJobsAndThoseThatTheyAdd) {
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
