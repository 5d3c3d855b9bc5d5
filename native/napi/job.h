// The native side of a NativeJob.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "base/cancel.h"
#include "base/status.h"
#include "napi/js_task_queue.h"
#include "napi/node.h"

namespace cosmos {

// A job's failure, or a function that converts its result to a JavaScript value, called once on the
// JavaScript thread.
using Outcome = Result<std::function<Napi::Value(Napi::Env)>>;

template <typename T>
Outcome ToOutcome(Result<T> result, Napi::Value (*to_value)(Napi::Env, T&&)) {
  if (!result.ok()) return result.TakeStatus();
  // Shared, because std::function must be copyable and T may be movable only.
  auto made = std::make_shared<T>(std::move(result).value());
  return Outcome([made, to_value](Napi::Env env) { return to_value(env, std::move(*made)); });
}

// Is queued, then runs on one native thread and reports exactly one outcome: in Finish, or in the destructor,
// which reports that the job was dropped. A job that is abandoned while queued never runs and never reports.
class Job {
 public:
  using Work = std::function<Outcome(const CancelTokenPtr& cancel)>;

  using Memory = JsTaskQueue::Memory;

  Job(std::shared_ptr<JsTaskQueue> queue, std::uint64_t id)
      : queue_(std::move(queue)), cancel_(std::make_shared<CancelToken>()), id_(id) {}
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  std::uint64_t id() const { return id_; }
  const CancelTokenPtr& cancel() const { return cancel_; }

  // Before the job is queued. `memory`: whether the work reads memory that belongs to JavaScript.
  void SetWork(Work work, Memory memory) {
    work_ = std::move(work);
    memory_ = memory;
  }

  // On the native thread: Start, the work, Finish.
  void Run();
  // Marks the job as running. Returns false if it was abandoned or its environment has ended: nothing that it
  // refers to may be touched then.
  bool Start();
  void Finish(Outcome outcome);

  // On the JavaScript thread. Ends a queued job and releases its input; the caller settles the promise.
  // Returns false if the job already runs: only its token can stop it then.
  bool Abandon();

 private:
  enum class State { kQueued, kRunning, kEnded };

  std::shared_ptr<JsTaskQueue> queue_;
  CancelTokenPtr cancel_;
  std::uint64_t id_;
  Work work_;
  Memory memory_ = Memory::kOwn;
  std::atomic<State> state_ = State::kQueued;
};

// Both sides of a job: the object for JavaScript, and the job for the native thread.
struct NativeJob {
  Napi::Object handle;
  std::shared_ptr<Job> job;
};

// Runs `work` on the process-wide decode pool. `keep` (may be empty) is not garbage-collected before the job
// has ended. Work that reads its memory is kBorrowed: an environment ends only after such work.
NativeJob RunOnPool(Napi::Env env, Napi::Object keep, Job::Work work, Job::Memory memory = Job::Memory::kOwn);

}  // namespace cosmos
