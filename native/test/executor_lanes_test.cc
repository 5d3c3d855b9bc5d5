// Tests of the executor with an engine whose runs are asynchronous, like those of a GPU.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/executor.h"

namespace cosmos {
namespace {

using namespace std::chrono_literals;
using Vectors = Result<std::vector<float>>;

constexpr ClipShape kShape{1, 2, 2};

// State that the test shares with the engine's runs. A run is ready once its first token, or -1 for video, is
// released.
struct Device {
  std::mutex mutex;
  std::map<std::int64_t, bool> released;
  std::vector<std::int64_t> begun;
  std::vector<std::size_t> batches;
  std::atomic<int> in_flight = 0;
  std::atomic<int> most_in_flight = 0;
  std::function<Status(std::int64_t first, std::size_t batch)> fail = [](std::int64_t, std::size_t) {
    return Status();
  };

  std::shared_ptr<Wake> wake;
  bool announces = true;  // the end of its runs
  std::atomic<int> queries = 0;

  void Release(std::int64_t first) {
    const std::lock_guard lock(mutex);
    released[first] = true;
    if (announces && wake) wake->Set();
  }
  bool IsReleased(std::int64_t first) {
    const std::lock_guard lock(mutex);
    return released[first];
  }
  std::vector<std::int64_t> Begun() {
    const std::lock_guard lock(mutex);
    return begun;
  }
};

class FakeRun final : public EngineRun {
 public:
  FakeRun(Device& device, std::int64_t first, std::size_t batch)
      : device_(device), first_(first), batch_(batch) {
    const int now = ++device_.in_flight;
    device_.most_in_flight = std::max(now, device_.most_in_flight.load());
  }
  ~FakeRun() override { --device_.in_flight; }
  bool Ready() override {
    ++device_.queries;
    return device_.IsReleased(first_);
  }
  Result<std::vector<float>> Finish() override {
    if (Status status = device_.fail(first_, batch_); !status.ok()) return status;
    return std::vector<float>(batch_, 1.0F);
  }

 private:
  Device& device_;
  const std::int64_t first_;
  const std::size_t batch_;
};

class LaneEngine final : public Engine {
 public:
  explicit LaneEngine(Device& device, int max_text_batch = 0) : device_(device) {
    signature_.clip = kShape;
    signature_.embedding_dim = 1;
    signature_.max_text_batch = max_text_batch;
  }
  const EngineSignature& signature() const override { return signature_; }
  const EngineInfo& info() const override { return info_; }
  std::optional<int> device() const override { return 1; }
  void SetWake(const std::shared_ptr<Wake>& wake) override {
    const std::lock_guard lock(device_.mutex);
    device_.wake = wake;
  }
  int lanes(Tower tower) const override { return tower == Tower::kText ? 2 : 1; }
  Result<std::unique_ptr<EngineRun>> BeginVideo(std::span<const ClipPtr> clips, CancelToken&) override {
    return Begin(-1, clips.size());
  }
  Result<std::unique_ptr<EngineRun>> BeginText(std::span<const TokenRow> rows, CancelToken&) override {
    return Begin(rows.front().front(), rows.size());
  }

 private:
  Result<std::unique_ptr<EngineRun>> Begin(std::int64_t first, std::size_t batch) {
    const std::lock_guard lock(device_.mutex);
    device_.begun.push_back(first);
    device_.batches.push_back(batch);
    return std::unique_ptr<EngineRun>(std::make_unique<FakeRun>(device_, first, batch));
  }

  Device& device_;
  EngineSignature signature_;
  EngineInfo info_;
};

struct Submitted {
  CancelTokenPtr cancel = std::make_shared<CancelToken>();
  std::future<Vectors> result;
  bool Waits() { return result.wait_for(20ms) == std::future_status::timeout; }
};

Submitted Submit(Executor& executor, decltype(EncodeJob::input) input) {
  auto promise = std::make_shared<std::promise<Vectors>>();
  Submitted submitted;
  submitted.result = promise->get_future();
  executor.Submit({std::move(input), submitted.cancel,
                   [promise](Vectors vectors) { promise->set_value(std::move(vectors)); }});
  return submitted;
}

Submitted SubmitText(Executor& executor, std::vector<std::int64_t> tokens) {
  std::vector<TokenRow> rows;
  for (const std::int64_t token : tokens) rows.push_back({token});
  return Submit(executor, std::move(rows));
}

Submitted SubmitClip(Executor& executor) {
  return Submit(executor, std::vector<ClipPtr>{std::make_shared<const Clip>(kShape)});
}

StatusCode CodeOf(Submitted& submitted) {
  const Vectors vectors = submitted.result.get();
  return vectors.ok() ? StatusCode::kOk : vectors.status().code();
}

TEST(ExecutorLanes, RunsAsManyJobsOfATowerAsItHasLanes) {
  Device device;
  Executor executor(std::make_unique<LaneEngine>(device));
  std::vector<Submitted> jobs;
  for (const int token : {1, 2, 3}) jobs.push_back(SubmitText(executor, {token}));
  EXPECT_TRUE(jobs[2].Waits());
  EXPECT_EQ(device.Begun(), (std::vector<std::int64_t>{1, 2}));
  // Runs may end in any order; the next one begins at once.
  device.Release(2);
  EXPECT_EQ(CodeOf(jobs[1]), StatusCode::kOk);
  device.Release(3);
  EXPECT_EQ(CodeOf(jobs[2]), StatusCode::kOk);
  EXPECT_TRUE(jobs[0].Waits());
  device.Release(1);
  EXPECT_EQ(CodeOf(jobs[0]), StatusCode::kOk);
  EXPECT_EQ(device.most_in_flight, 2);
}

TEST(ExecutorLanes, ARunIsNotQueriedUntilItsEndIsAnnounced) {
  Device device;
  Executor executor(std::make_unique<LaneEngine>(device));
  Submitted job = SubmitText(executor, {1});
  std::this_thread::sleep_for(300ms);
  EXPECT_LE(device.queries, 20);  // an executor that polls makes thousands
  device.Release(1);
  EXPECT_EQ(CodeOf(job), StatusCode::kOk);
}

TEST(ExecutorLanes, ARunEndsOnADeviceThatDoesNotAnnounceIt) {
  Device device;
  device.announces = false;
  Executor executor(std::make_unique<LaneEngine>(device));
  Submitted job = SubmitText(executor, {1});
  EXPECT_TRUE(job.Waits());
  device.Release(1);
  EXPECT_EQ(CodeOf(job), StatusCode::kOk);
}

TEST(ExecutorLanes, TextDoesNotWaitForVideosThatHaveNoLane) {
  Device device;
  Executor executor(std::make_unique<LaneEngine>(device));
  Submitted first = SubmitClip(executor);
  Submitted second = SubmitClip(executor);
  device.Release(7);
  Submitted text = SubmitText(executor, {7});
  EXPECT_EQ(CodeOf(text), StatusCode::kOk);
  EXPECT_TRUE(first.Waits());
  EXPECT_TRUE(second.Waits());
  device.Release(-1);
  EXPECT_EQ(CodeOf(first), StatusCode::kOk);
  EXPECT_EQ(CodeOf(second), StatusCode::kOk);
}

TEST(ExecutorLanes, ACancelledRunCompletesOnceTheDeviceHasFinished) {
  Device device;
  Executor executor(std::make_unique<LaneEngine>(device));
  Submitted running = SubmitText(executor, {1});
  while (device.Begun().empty()) std::this_thread::yield();
  running.cancel->Cancel();
  EXPECT_TRUE(running.Waits());
  EXPECT_EQ(device.in_flight, 1);
  device.Release(1);
  EXPECT_EQ(CodeOf(running), StatusCode::kCancelled);
  EXPECT_EQ(device.in_flight, 0);
}

TEST(ExecutorLanes, OutOfMemoryHalvesTheBatchOnce) {
  Device device;
  for (const int first : {1, 3, 5}) device.Release(first);
  device.fail = [](std::int64_t, std::size_t batch) {
    return batch > 2 ? Status(StatusCode::kOutOfMemory, "no memory") : Status();
  };
  Executor executor(std::make_unique<LaneEngine>(device));
  Submitted job = SubmitText(executor, {1, 2, 3, 4, 5});
  const Vectors vectors = job.result.get();
  ASSERT_TRUE(vectors.ok()) << vectors.status().message();
  EXPECT_EQ(vectors.value().size(), 5);
  EXPECT_EQ(device.batches, (std::vector<std::size_t>{5, 2, 2, 1}));
  // The batch stays that small, and running out of memory again is an error.
  device.batches.clear();
  device.fail = [](std::int64_t, std::size_t) { return Status(StatusCode::kOutOfMemory, "no memory"); };
  Submitted next = SubmitText(executor, {1, 2, 3, 4});
  EXPECT_EQ(CodeOf(next), StatusCode::kOutOfMemory);
  EXPECT_EQ(device.batches, std::vector<std::size_t>{2});
}

TEST(ExecutorLanes, OutOfMemoryInBothLanesHalvesBothBatches) {
  Device device;
  device.fail = [](std::int64_t, std::size_t batch) {
    return batch > 2 ? Status(StatusCode::kOutOfMemory, "no memory") : Status();
  };
  Executor executor(std::make_unique<LaneEngine>(device));
  Submitted first = SubmitText(executor, {1, 2, 3, 4});
  Submitted second = SubmitText(executor, {5, 6, 7, 8});
  while (device.Begun().size() < 2) std::this_thread::yield();
  for (const int token : {1, 3, 5, 7}) device.Release(token);
  EXPECT_EQ(CodeOf(first), StatusCode::kOk);
  EXPECT_EQ(CodeOf(second), StatusCode::kOk);
}

TEST(ExecutorLanes, ALostDeviceFailsRunningAndLaterJobs) {
  Device device;
  device.fail = [](std::int64_t, std::size_t) { return Status(StatusCode::kDeviceLost, "gone"); };
  Executor executor(std::make_unique<LaneEngine>(device));
  std::vector<Submitted> jobs;
  for (const int token : {1, 2, 3}) jobs.push_back(SubmitText(executor, {token}));
  while (device.Begun().size() < 2) std::this_thread::yield();
  device.Release(1);
  EXPECT_EQ(CodeOf(jobs[0]), StatusCode::kDeviceLost);
  // The run of the other lane fails as well, once the driver reports the error for it.
  device.Release(2);
  for (Submitted* job : {&jobs[1], &jobs[2]}) EXPECT_EQ(CodeOf(*job), StatusCode::kDeviceLost);
  Submitted later = SubmitClip(executor);
  EXPECT_EQ(CodeOf(later), StatusCode::kDeviceLost);
  EXPECT_EQ(device.Begun(), (std::vector<std::int64_t>{1, 2}));
}

class PixelsOn final : public DevicePixels {
 public:
  explicit PixelsOn(int device) : device_(device) {}
  int device() const override { return device_; }
  std::uint64_t address() const override { return 0x1000; }
  Status CopyToHost(std::uint8_t*, std::size_t) const override { return {}; }

 private:
  int device_;
};

TEST(ExecutorLanes, TakesClipsOnItsOwnGpuOnly) {
  Device device;
  device.Release(-1);
  Executor executor(std::make_unique<LaneEngine>(device));
  const auto submit = [&](int gpu) {
    return Submit(executor, std::vector<ClipPtr>{
                                std::make_shared<const Clip>(kShape, std::make_unique<PixelsOn>(gpu))});
  };
  Submitted own = submit(1);
  EXPECT_EQ(CodeOf(own), StatusCode::kOk);
  Submitted foreign = submit(0);
  const Vectors refused = foreign.result.get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().message(), "clip 0 lies in the memory of GPU 0; the engine runs on GPU 1");
}

TEST(ExecutorLanes, DestructionWaitsForTheDevice) {
  Device device;
  Submitted running;
  std::thread release;
  {
    Executor executor(std::make_unique<LaneEngine>(device));
    running = SubmitText(executor, {1});
    while (device.Begun().empty()) std::this_thread::yield();
    release = std::thread([&] {
      std::this_thread::sleep_for(30ms);
      device.Release(1);
    });
  }
  EXPECT_EQ(device.in_flight, 0);
  EXPECT_EQ(CodeOf(running), StatusCode::kCancelled);
  release.join();
}

}  // namespace
}  // namespace cosmos
