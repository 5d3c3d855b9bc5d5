// One thread per engine: takes encode jobs in order, runs them on the engine and checks the vectors.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/wake.h"

namespace cosmos {

struct EncodeJob {
  std::variant<std::vector<ClipPtr>, std::vector<TokenRow>> input;
  CancelTokenPtr cancel;  // not null, not shared with another job
  // Called exactly once, with one unit vector of `embedding_dim` floats per clip or row, in input order, or
  // with the failure. Called on the executor's thread or on the thread that cancels; must not block.
  std::function<void(Result<std::vector<float>>)> done;

  Tower tower() const { return input.index() == 0 ? Tower::kVideo : Tower::kText; }
};

class Executor {
 public:
  explicit Executor(std::unique_ptr<Engine> engine);
  // Cancels all queued and running jobs, joins the thread and frees the engine. Must not run on the
  // executor's own thread.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  const EngineSignature& signature() const { return engine_->signature(); }
  const EngineInfo& info() const { return engine_->info(); }
  // How many jobs of a tower run at a time.
  int lanes(Tower tower) const { return engine_->lanes(tower); }

  // First in, first out for each tower; priorities are the caller's business. A job that is cancelled while
  // queued completes at once, one that is cancelled while running as soon as the engine can stop. Once the
  // device is lost, every job fails with kDeviceLost.
  void Submit(EncodeJob job);

 private:
  struct Pending;
  struct Active;
  using CancelledJobs = std::vector<std::unique_ptr<Pending>>;

  void Loop();
  void CompleteCancelled(Pending& pending);
  std::unique_ptr<Pending> TakeNext(CancelledJobs& cancelled);
  bool HasFreeLane(Tower tower) const;
  Status Validate(const EncodeJob& job) const;
  void Begin(std::unique_ptr<Pending> pending);
  void BeginBatch(Active& active);
  bool MayTakeLess(std::size_t tower, std::size_t batch);
  bool Advance(Active& active);
  void Complete(Active& active, Result<std::vector<float>> result);

  const std::unique_ptr<Engine> engine_;
  std::mutex mutex_;
  const std::shared_ptr<Wake> wake_ = std::make_shared<Wake>();
  std::deque<std::unique_ptr<Pending>> queue_;
  std::vector<CancelTokenPtr> running_;
  bool closing_ = false;
  // Used by the executor's thread only:
  std::list<Active> active_;
  std::array<int, 2> max_batch_{};  // by tower; 0 = unlimited
  std::array<bool, 2> halved_{};
  Status lost_;
  std::thread thread_;
};

}  // namespace cosmos
