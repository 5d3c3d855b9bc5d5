// Base class for engines whose runs occupy a thread. With several lanes, each runs on one of the engine's own
// threads, so that the executor can begin the next. With a single lane there is no next, and the run takes
// the executor's thread: handing it over and back would wake two threads, which costs as much as a small
// operation of the graph. Videos and texts take turns then.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "engine/engine.h"

namespace cosmos {

class ThreadedEngine : public Engine {
 public:
  int lanes(Tower tower) const final { return tower == Tower::kVideo ? kVideoLanes : text_lanes_; }
  void SetWake(const std::shared_ptr<Wake>& wake) final { wake_ = wake; }

  Result<std::unique_ptr<EngineRun>> BeginVideo(std::span<const ClipPtr> clips, CancelToken& cancel) final {
    return Begin([this, clips, &cancel] { return EncodeVideo(clips, cancel); });
  }
  Result<std::unique_ptr<EngineRun>> BeginText(std::span<const TokenRow> rows, CancelToken& cancel) final {
    return Begin([this, rows, &cancel] { return EncodeText(rows, cancel); });
  }

 protected:
  explicit ThreadedEngine(int text_lanes) : text_lanes_(text_lanes) {
    if (text_lanes == 1) return;
    threads_.emplace(kVideoLanes + text_lanes);
    // With one thread started, Submit cannot fail later.
    threads_->Submit([] {});
  }

  // Runs of one tower may overlap in as many threads as it has lanes.
  virtual Result<std::vector<float>> EncodeVideo(std::span<const ClipPtr> clips, CancelToken& cancel) = 0;
  virtual Result<std::vector<float>> EncodeText(std::span<const TokenRow> rows, CancelToken& cancel) = 0;

 private:
  using Vectors = Result<std::vector<float>>;
  static constexpr int kVideoLanes = 1;

  class ThreadRun final : public EngineRun {
   public:
    ThreadRun() = default;
    ThreadRun(const ThreadRun&) = delete;
    ThreadRun& operator=(const ThreadRun&) = delete;
    ~ThreadRun() override {
      if (vectors_.valid()) vectors_.wait();
    }
    bool Ready() override {
      return vectors_.wait_for(std::chrono::seconds::zero()) == std::future_status::ready;
    }
    // Throws what the run threw.
    Vectors Finish() override { return vectors_.get(); }
    void Follow(std::future<Vectors> vectors) { vectors_ = std::move(vectors); }

   private:
    std::future<Vectors> vectors_;
  };

  Result<std::unique_ptr<EngineRun>> Begin(std::function<Vectors()> encode) {
    const auto task = std::make_shared<std::packaged_task<Vectors()>>(std::move(encode));
    auto run = std::make_unique<ThreadRun>();
    auto vectors = task->get_future();
    if (threads_) {
      threads_->Submit([task, wake = wake_] {
        (*task)();
        if (wake) wake->Set();
      });
    } else {
      (*task)();
    }
    // Only now: the run waits for a task that it follows, and none would come if Submit threw.
    run->Follow(std::move(vectors));
    return std::unique_ptr<EngineRun>(std::move(run));
  }

  const int text_lanes_;
  std::shared_ptr<Wake> wake_;
  std::optional<ThreadPool> threads_;  // none with a single lane
};

}  // namespace cosmos
