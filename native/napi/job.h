// The native end of one NativeJob.
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

// Why a job failed, or how to turn what it made into a JavaScript value, once on the JavaScript thread.
using Outcome = Result<std::function<Napi::Value(Napi::Env)>>;

template <typename T>
Outcome ToOutcome(Result<T> result, Napi::Value (*to_value)(Napi::Env, T&&)) {
  if (!result.ok()) return result.TakeStatus();
  // std::function wants to copy what it holds; the T itself moves only.
  auto made = std::make_shared<T>(std::move(result).value());
  return Outcome([made, to_value](Napi::Env env) { return to_value(env, std::move(*made)); });
}

// Waits in a queue, then runs on one native thread and answers exactly once: by Finish, or by its destructor,
// which reports the lost answer. A job that is abandoned while it waits never runs and never answers.
class Job {
 public:
  using Work = std::function<Outcome(const CancelTokenPtr& cancel)>;

  Job(std::shared_ptr<JsTaskQueue> queue, std::uint64_t id)
      : queue_(std::move(queue)), cancel_(std::make_shared<CancelToken>()), id_(id) {}
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  std::uint64_t id() const { return id_; }
  const CancelTokenPtr& cancel() const { return cancel_; }

  // Before the job is queued.
  void SetWork(Work work) { work_ = std::move(work); }

  // On the native thread: Start, work, Finish.
  void Run();
  // False: the job was abandoned or its environment has ended, and nothing that it refers to may be touched.
  bool Start();
  void Finish(Outcome outcome);

  // On the JavaScript thread. False: too late, it runs, and its token is the way to stop it. Otherwise what
  // it would have worked on is let go, and the caller settles the promise.
  bool Abandon();

 private:
  enum class State { kWaiting, kRunning, kEnded };

  std::shared_ptr<JsTaskQueue> queue_;
  CancelTokenPtr cancel_;
  std::uint64_t id_;
  Work work_;
  std::atomic<State> state_ = State::kWaiting;
};

// Both ends of a job: what JavaScript gets, and what the native thread works with.
struct NativeJob {
  Napi::Object handle;
  std::shared_ptr<Job> job;
};

// Runs `work` on the process-wide decode pool. `keep` (may be empty) is not collected before the job has
// ended.
NativeJob RunOnPool(Napi::Env env, Napi::Object keep, Job::Work work);

}  // namespace cosmos
