// The allocator that ONNX Runtime's sessions use, through the functions that ONNX Runtime calls.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "onnxruntime/memory.h"

namespace cosmos::ort {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

struct OnnxMemory : testing::Test {
  void* Alloc(std::size_t bytes) { return memory.Alloc(&memory, bytes); }
  void* Reserve(std::size_t bytes) { return memory.Reserve(&memory, bytes); }
  void Free(void* block) { memory.Free(&memory, block); }

  Memory memory{nullptr, [] { throw std::bad_alloc(); }};
};

// How many of the pages of a mapping lie in memory. None where it is not mapped.
std::size_t ResidentPages(void* begin, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((bytes + page - 1) / page);
  if (mincore(begin, bytes, pages.data()) != 0) return 0;
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](auto flags) { return flags & 1; }));
}

// Of this process.
std::size_t ResidentBytes() {
  std::size_t mapped = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> mapped >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

bool AreHugePagesAdvised() {
  std::string modes;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), modes);
  return modes.find("[always]") != std::string::npos || modes.find("[madvise]") != std::string::npos;
}

// Of the mapping that contains `address`, as the system counts it.
std::size_t HugePageKiB(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool is_inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::size_t begin = 0;
    std::size_t end = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &begin, &end) == 2) {
      const auto wanted = reinterpret_cast<std::uintptr_t>(address);
      is_inside = begin <= wanted && wanted < end;
    }
    if (is_inside && line.starts_with("AnonHugePages:")) return std::stoul(line.substr(14));
  }
  return 0;
}

TEST_F(OnnxMemory, BlocksOfAnySizeAreAlignedAndDoNotOverlap) {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same in every run
  std::map<std::uint8_t*, std::pair<std::size_t, std::uint8_t>> live;
  const auto check = [&](auto block) {
    const auto& [bytes, mark] = block->second;
    EXPECT_EQ(block->first[0], mark);
    EXPECT_EQ(block->first[bytes / 2], mark);
    EXPECT_EQ(block->first[bytes - 1], mark);
  };
  for (int step = 0; step < 3000; ++step) {
    if (live.size() > 40 || (!live.empty() && random() % 3 == 0)) {
      const auto chosen = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
      check(chosen);
      Free(chosen->first);
      live.erase(chosen);
      continue;
    }
    const std::size_t bytes = std::size_t{1} << (random() % 23);
    const std::size_t odd = bytes + random() % bytes;
    auto* block = static_cast<std::uint8_t*>(random() % 2 ? Alloc(odd) : Reserve(odd));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 64, 0U);
    const auto mark = static_cast<std::uint8_t>(step);
    block[0] = block[odd / 2] = block[odd - 1] = mark;
    const auto [at, is_new] = live.emplace(block, std::pair{odd, mark});
    ASSERT_TRUE(is_new);
    if (at != live.begin()) {
      const auto before = std::prev(at);
      EXPECT_LE(before->first + before->second.first, block);
    }
    if (const auto after = std::next(at); after != live.end()) {
      EXPECT_LE(block + odd, after->first);
    }
  }
  for (auto block = live.begin(); block != live.end(); ++block) {
    check(block);
    Free(block->first);
  }
}

TEST_F(OnnxMemory, WeightsAndLargeTensorsLieInHugePages) {
  if (!AreHugePagesAdvised()) GTEST_SKIP() << "this system has no transparent huge pages";
  std::vector<void*> weights;
  for (int i = 0; i < 24; ++i) weights.push_back(std::memset(Reserve(576 * kKiB), 1, 576 * kKiB));
  void* const tensor = std::memset(Alloc(5 * kMiB), 1, 5 * kMiB);
  // The system may be short of whole pages, so one is enough.
  EXPECT_GT(HugePageKiB(weights[0]), 0U);
  EXPECT_GT(HugePageKiB(tensor), 0U);
  for (void* weight : weights) Free(weight);
  Free(tensor);
}

TEST_F(OnnxMemory, TheMemoryOfAWeightThatIsFreedGoesBack) {
  std::vector<void*> weights;
  for (int i = 0; i < 8; ++i) weights.push_back(std::memset(Reserve(3 * kMiB), 1, 3 * kMiB));
  const std::size_t before = ResidentPages(weights[0], 24 * kMiB);
  for (const int freed : {1, 2, 5}) Free(weights[static_cast<std::size_t>(freed)]);
  EXPECT_LT(ResidentPages(weights[0], 24 * kMiB), before * 2 / 3);
  for (const std::size_t kept : {0, 3, 4, 6, 7}) {
    const auto* bytes = static_cast<const std::uint8_t*>(weights[kept]);
    EXPECT_TRUE(std::all_of(bytes, bytes + 3 * kMiB, [](auto byte) { return byte == 1; }));
    Free(weights[kept]);
  }
  EXPECT_EQ(ResidentPages(weights[0], 24 * kMiB), 0U);
}

TEST_F(OnnxMemory, ATensorOfTheLastRunServesTheNext) {
  void* const first = Alloc(9 * kMiB);
  Free(first);
  void* const second = Alloc(7 * kMiB);
  EXPECT_EQ(second, first);
  void* const beside = Alloc(9 * kMiB);
  EXPECT_NE(beside, first);
  Free(second);
  Free(beside);
  memory.Shrink();
  EXPECT_EQ(ResidentPages(first, 9 * kMiB), 0U);
}

TEST_F(OnnxMemory, GrowingRunsKeepAtMostTwiceTheLargest) {
  const std::size_t before = ResidentBytes();
  for (std::size_t bytes = kMiB; bytes < 40 * kMiB; bytes += 2 * kMiB)
    Free(std::memset(Alloc(bytes), 1, bytes));
  const std::size_t kept = ResidentBytes() - before;
  EXPECT_GT(kept, 38 * kMiB);
  EXPECT_LT(kept, 85 * kMiB);  // all of them would be 400
}

TEST_F(OnnxMemory, RunsOfDifferentSizesThatRecurFindTheirTensorsAgain) {
  std::vector<std::vector<void*>> rounds(4);
  for (auto& blocks : rounds) {
    for (const std::size_t bytes : {64 * kMiB, 700 * kKiB, 12 * kMiB, 150 * kKiB, 40 * kMiB, 3 * kMiB}) {
      blocks.push_back(Alloc(bytes));
      Free(blocks.back());
    }
  }
  EXPECT_EQ(rounds[2], rounds[1]);
  EXPECT_EQ(rounds[3], rounds[1]);
}

TEST_F(OnnxMemory, ASmallTensorDoesNotHoldALargeOne) {
  void* const large = Alloc(64 * kMiB);
  Free(large);
  void* const small =
      Alloc(200 * kKiB);  // for as long as a session lives, as weights that are no initialisers
  EXPECT_EQ(Alloc(64 * kMiB), large);
  Free(large);
  Free(small);
}

// Kernels for ARM64 read up to 30 bytes behind a tensor.
TEST_F(OnnxMemory, TheBytesBehindABlockCanBeRead) {
  for (const std::size_t bytes : {4 * kKiB, 128 * kKiB, kMiB, 2 * kMiB, 64 * kMiB}) {
    for (void* block : {Alloc(bytes), Reserve(bytes)}) {
      [[maybe_unused]] const std::uint8_t behind = *(static_cast<volatile std::uint8_t*>(block) + bytes + 29);
      Free(block);
    }
  }
}

TEST_F(OnnxMemory, WhatTheSystemDoesNotHaveIsThrownAsOnnxRuntimeDoes) {
  const std::size_t more_than_can_be_addressed = std::size_t{1} << 52;
  EXPECT_THROW(Alloc(more_than_can_be_addressed), std::bad_alloc);
  EXPECT_THROW(Reserve(more_than_can_be_addressed), std::bad_alloc);
  EXPECT_EQ(memory.failures(), 2U);
  Free(Alloc(kMiB));
  EXPECT_EQ(memory.failures(), 2U);
}

// Of this process: what RLIMIT_DATA limits.
rlim_t WritableBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmData:")) return std::stoul(line.substr(7)) * kKiB;
  }
  return 0;
}

// In a process of its own, which has room for 80 MiB more: for the tensor only where it is not aligned to
// huge pages.
TEST_F(OnnxMemory, WhatIsKeptIsGivenUpBeforeMemoryIsRefused) {
  for (const bool is_weight : {false, true}) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(30);
      const rlim_t limit = WritableBytes() + 80 * kMiB;
      const rlimit limits{limit, limit};
      if (setrlimit(RLIMIT_DATA, &limits) != 0) _exit(1);
      void* const large = Alloc(60 * kMiB);
      void* const small = Alloc(16 * kMiB);
      Free(large);
      Free(small);
      try {
        Free(is_weight ? Reserve(70 * kMiB) : Alloc(79 * kMiB));
      } catch (const std::bad_alloc&) {
        _exit(2);
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << (is_weight ? "a weight" : "a tensor");
  }
}

TEST_F(OnnxMemory, SeveralThreadsShareIt) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      for (int round = 0; round < 200; ++round) {
        const std::size_t bytes = (64 + static_cast<std::size_t>(37 * round % 1900)) * kKiB;
        auto* tensor = static_cast<int*>(Alloc(bytes));
        auto* weight = static_cast<int*>(Reserve(bytes));
        *tensor = thread;
        *weight = thread;
        std::this_thread::yield();
        EXPECT_EQ(*tensor, thread);
        EXPECT_EQ(*weight, thread);
        Free(tensor);
        Free(weight);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace cosmos::ort
