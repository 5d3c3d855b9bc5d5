// Tests the meter of FFmpeg's allocations by calling it as FFmpeg does: it is linked into these tests, whose
// FFmpeg does not use it. test/package tests both together.
#include "media/limits/job_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <latch>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "media/limits/job_guard.h"

namespace cosmos::test {
namespace {

class Meter {
 public:
  explicit Meter(std::size_t limit) : meter_(cosmos_meter_open(limit)) {}
  ~Meter() { cosmos_meter_close(meter_); }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  std::size_t bytes() const { return cosmos_meter_bytes(meter_); }
  bool exceeded() const { return cosmos_meter_exceeded(meter_); }
  cosmos_meter* get() const { return meter_; }

 private:
  cosmos_meter* meter_;
};

class MeterScope {
 public:
  explicit MeterScope(const Meter& meter) : before_(cosmos_meter_enter(meter.get())) {}
  ~MeterScope() { cosmos_meter_enter(before_); }
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;

 private:
  cosmos_meter* before_;
};

TEST(JobMeter, CountsAllocatedBytes) {
  const Meter meter(1 << 20);
  void* outside = cosmos_malloc(1000);
  EXPECT_EQ(meter.bytes(), 0U);
  {
    const MeterScope scope(meter);
    void* block = cosmos_malloc(1000);
    EXPECT_GE(meter.bytes(), 1000U);
    EXPECT_LT(meter.bytes(), 1100U);
    block = cosmos_realloc(block, 5000);
    EXPECT_GE(meter.bytes(), 5000U);
    block = cosmos_realloc(block, 10);
    EXPECT_LT(meter.bytes(), 100U);
    cosmos_free(block);
    cosmos_free(nullptr);
    EXPECT_EQ(meter.bytes(), 0U);
    cosmos_free(outside);
    EXPECT_EQ(meter.bytes(), 0U) << "it was never counted";
  }
  EXPECT_FALSE(meter.exceeded());
}

// Runs seeded random operations on blocks of two jobs and of no job, and compares the counts with the
// expected ones.
TEST(JobMeter, BlocksKeepTheirBytesTheirAlignmentAndTheirJob) {
  struct Block {
    std::uint8_t* data;
    std::size_t size;
    std::uint8_t fill;
    int job;
  };
  const Meter jobs[] = {Meter(1 << 24), Meter(1 << 24)};
  std::mt19937 random(20);
  const auto below = [&](std::uint32_t bound) { return random() % bound; };
  const auto fill = [](Block& block) { std::memset(block.data, block.fill, block.size); };
  std::vector<Block> blocks;
  for (int step = 0; step < 4000; ++step) {
    const int job = static_cast<int>(below(3));
    cosmos_meter* before = cosmos_meter_enter(job < 2 ? jobs[job].get() : nullptr);
    // A few have pages of their own.
    const std::size_t size =
        below(64) == 0 ? 200'000 + below(400'000) : (below(8) == 0 ? below(60'000) : below(300));
    if (blocks.size() < 10 || below(3) == 0) {
      Block block{.data = nullptr, .size = size, .fill = static_cast<std::uint8_t>(step), .job = job};
      if (below(2) == 0) {
        block.data = static_cast<std::uint8_t*>(cosmos_malloc(size));
      } else {
        const std::size_t alignment = std::size_t{8} << below(8);
        void* made = nullptr;
        ASSERT_EQ(cosmos_posix_memalign(&made, alignment, size), 0);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(made) % alignment, 0U);
        block.data = static_cast<std::uint8_t*>(made);
      }
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data) % alignof(std::max_align_t), 0U);
      fill(block);
      blocks.push_back(block);
    } else {
      Block& block = blocks[below(static_cast<std::uint32_t>(blocks.size()))];
      const std::size_t kept = std::min(size, block.size);
      if (below(2) == 0) {
        block.data = static_cast<std::uint8_t*>(cosmos_realloc(block.data, size));
        block.size = size;
      }
      const std::size_t checked = std::min(kept, block.size);
      ASSERT_EQ(std::count(block.data, block.data + checked, block.fill),
                static_cast<std::ptrdiff_t>(checked));
      fill(block);
      if (below(2) == 0) {
        cosmos_free(block.data);
        block = blocks.back();
        blocks.pop_back();
      }
    }
    cosmos_meter_enter(before);
    std::size_t held[3] = {};
    std::size_t count[3] = {};
    for (const Block& block : blocks) {
      held[block.job] += block.size;
      ++count[block.job];
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_GE(jobs[i].bytes(), held[i] + count[i] * 32);
      ASSERT_LE(jobs[i].bytes(), held[i] + count[i] * 1024);
    }
  }
  for (const Block& block : blocks) cosmos_free(block.data);
  EXPECT_EQ(jobs[0].bytes() + jobs[1].bytes(), 0U);
}

std::size_t ResidentBytes() {
  std::ifstream pages("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  pages >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// glibc would keep the pictures' memory, because small blocks that are still needed lie between them.
TEST(JobMeter, GivesLargeBlocksBackToTheSystem) {
  constexpr std::size_t kPicture = 2 << 20;
  constexpr std::size_t kPictures = 24;
  cosmos_free(cosmos_malloc(2 * kPicture));
  const std::size_t before = ResidentBytes();
  std::vector<void*> pictures(kPictures);
  std::vector<void*> others(kPictures);
  for (std::size_t i = 0; i < kPictures; ++i) {
    ASSERT_EQ(cosmos_posix_memalign(&pictures[i], 64, kPicture), 0);
    std::memset(pictures[i], 1, kPicture);
    others[i] = cosmos_malloc(100);
  }
  EXPECT_GE(ResidentBytes(), before + kPictures * kPicture);
  for (void* picture : pictures) cosmos_free(picture);
  EXPECT_LT(ResidentBytes(), before + kPictures * kPicture / 2);
  for (void* other : others) cosmos_free(other);
}

TEST(JobMeter, RefusesLargeBlocksBeyondTheLimit) {
  constexpr std::size_t kMiB = 1 << 20;
  const Meter meter(10 * kMiB);
  const Meter other(10 * kMiB);
  const MeterScope scope(meter);
  void* block = cosmos_malloc(6 * kMiB);
  ASSERT_TRUE(block);
  EXPECT_FALSE(meter.exceeded());
  EXPECT_EQ(cosmos_realloc(block, 20 * kMiB), nullptr) << "and the block is as it was";
  EXPECT_TRUE(meter.exceeded()) << "and stays so";
  void* aligned = nullptr;
  EXPECT_EQ(cosmos_posix_memalign(&aligned, 64, 5 * kMiB), ENOMEM);
  EXPECT_EQ(cosmos_malloc(5 * kMiB), nullptr);
  block = cosmos_realloc(block, 100);
  EXPECT_TRUE(block) << "it shrinks";
  cosmos_free(block);
  EXPECT_EQ(meter.bytes(), 0U);
  const MeterScope neighbour(other);
  cosmos_free(cosmos_malloc(6 * kMiB));
  EXPECT_FALSE(other.exceeded());
}

TEST(JobMeter, GrantsSmallBlocksBeyondTheLimitUpToAReserve) {
  constexpr std::size_t kMiB = 1 << 20;
  const Meter meter(kMiB);
  const MeterScope scope(meter);
  std::vector<void*> blocks;
  while (void* block = cosmos_malloc(kMiB)) blocks.push_back(block);
  EXPECT_TRUE(meter.exceeded());
  EXPECT_EQ(blocks.size(), 64U) << "up to 64 MiB beyond it";
  EXPECT_LE(meter.bytes(), 65 * kMiB);
  EXPECT_EQ(cosmos_realloc(blocks.front(), 5 * kMiB), nullptr) << "a large one, however little it grows";
  void* aligned = nullptr;
  EXPECT_EQ(cosmos_posix_memalign(&aligned, 64, kMiB), ENOMEM);
  for (void* block : blocks) cosmos_free(block);
  EXPECT_EQ(meter.bytes(), 0U);
}

TEST(JobMeter, SizesThatOverflowAreRefused) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  for (const std::size_t size : {kMost, kMost - 16, kMost - 63}) {
    const Meter meter(kMost);
    const MeterScope scope(meter);
    void* small = cosmos_malloc(1);
    EXPECT_EQ(cosmos_realloc(small, size), nullptr);
    cosmos_free(small);
    void* aligned = nullptr;
    EXPECT_EQ(cosmos_malloc(size), nullptr);
    EXPECT_EQ(cosmos_posix_memalign(&aligned, 64, size), ENOMEM);
    EXPECT_EQ(meter.bytes(), 0U);
  }
  void* block = nullptr;
  EXPECT_EQ(cosmos_posix_memalign(&block, 24, 8), EINVAL);
  EXPECT_EQ(cosmos_posix_memalign(&block, 0, 8), EINVAL);
}

struct Work {
  std::latch allocated{1};
  std::latch may_end{1};
  void* block = nullptr;
};

void* AllocateAndWait(void* argument) {
  auto& work = *static_cast<Work*>(argument);
  work.block = cosmos_malloc(5000);
  work.allocated.count_down();
  work.may_end.wait();
  return argument;
}

// A thread of the meter's job that has allocated a block and waits.
pthread_t Start(Work& work, const Meter& meter) {
  pthread_t thread = 0;
  {
    const MeterScope scope(meter);
    EXPECT_EQ(cosmos_pthread_create(&thread, nullptr, AllocateAndWait, &work), 0);
  }
  work.allocated.wait();
  return thread;
}

TEST(JobMeter, ThreadsCountForTheJobThatStartedThem) {
  Work work;
  const Meter meter(1 << 20);
  const pthread_t thread = Start(work, meter);
  EXPECT_GE(meter.bytes(), 5000U);
  work.may_end.count_down();
  void* result = nullptr;
  pthread_join(thread, &result);
  EXPECT_EQ(result, &work);
  EXPECT_LT(meter.bytes(), 5100U) << "nothing is left of the thread itself";
  cosmos_free(work.block);  // by a thread without a job
  EXPECT_EQ(meter.bytes(), 0U);
}

TEST(JobMeter, OutlivesItsJobWhileThreadsAndBlocksNeedIt) {
  Work work;
  const pthread_t thread = Start(work, Meter(1 << 20));
  work.may_end.count_down();
  pthread_join(thread, nullptr);
  work.block = cosmos_realloc(work.block, 9000);
  EXPECT_TRUE(work.block);
  cosmos_free(work.block);
}

TEST(JobMeter, CountsManyConcurrentThreads) {
  const Meter meter(1 << 16);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&meter, i] {
      const MeterScope scope(meter);
      std::mt19937 random(static_cast<std::uint32_t>(i));
      std::vector<void*> blocks;
      for (int step = 0; step < 5000; ++step) {
        blocks.push_back(cosmos_malloc(random() % 100));
        if (blocks.size() < 50) continue;
        for (void* block : blocks) cosmos_free(block);
        blocks.clear();
      }
      for (void* block : blocks) cosmos_free(block);
    });
  }
  threads.clear();
  EXPECT_EQ(meter.bytes(), 0U);
  EXPECT_FALSE(meter.exceeded());
}

TEST(JobMemory, AJobBeyondItsLimitIsStoppedByItsGuard) {
  JobGuard guard(1e9, 1 << 20);
  const auto allocate = [&](std::int64_t bytes) {
    const JobGuard::Call call(guard, nullptr);
    void* block = cosmos_malloc(static_cast<std::size_t>(bytes));
    cosmos_free(block);
    return block != nullptr;
  };
  EXPECT_TRUE(allocate(1 << 20)) << "the limit";
  EXPECT_FALSE(guard.stopped());
  EXPECT_FALSE(allocate(JobMemory::kOverhead + (2 << 20)));
  EXPECT_TRUE(guard.stopped());
  const Status status = guard.Check();
  EXPECT_EQ(status.code(), StatusCode::kLimit);
  EXPECT_NE(status.message().find("maxBytes of 1048576 bytes"), std::string::npos) << status.message();
  EXPECT_EQ(cosmos_meter_enter(nullptr), nullptr) << "outside of a call, the thread is in no job";
}

}  // namespace
}  // namespace cosmos::test
