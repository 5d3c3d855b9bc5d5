// One thread per device: takes encode jobs in order, runs them on the device's engine, checks what comes out.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "engine/engine.h"

namespace cosmos {

struct EncodeJob {
  std::variant<std::vector<ClipPtr>, std::vector<TokenRow>> input;
  CancelTokenPtr cancel;  // not null, and of this job alone
  // Called exactly once: with one unit vector of `embedding_dim` floats per clip or row, in their order, or
  // with the reason why not. Runs on the executor's thread or on the one that cancels, and must not block.
  std::function<void(Result<std::vector<float>>)> done;
};

class Executor {
 public:
  explicit Executor(std::unique_ptr<Engine> engine);
  // Cancels what waits and what runs, joins, frees the engine. Not on the executor's own thread.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  const EngineSignature& signature() const { return engine_->signature(); }
  const EngineInfo& info() const { return engine_->info(); }

  // First in, first out: which job comes first is for the caller to decide. A job that is cancelled while it
  // waits is done at once, and one that is cancelled while it runs as soon as the engine can stop.
  void Submit(EncodeJob job);

 private:
  struct Pending;

  void Work();
  void Drop(Pending& pending);
  Result<std::vector<float>> Run(const EncodeJob& job);
  template <typename Item>
  Result<std::vector<float>> RunInBatches(const std::vector<Item>& items, int max_batch, CancelToken& cancel);

  const std::unique_ptr<Engine> engine_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Pending>> queue_;
  CancelTokenPtr running_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace cosmos
