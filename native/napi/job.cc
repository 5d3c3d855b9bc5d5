#include "napi/job.h"

#include <exception>
#include <new>
#include <string>

#include "base/thread_pool.h"
#include "napi/environment.h"

namespace cosmos {
namespace {

// One for the process, whatever the number of environments, and never destroyed: at exit its threads are
// parked, and joining them from a static destructor could only hang. How many decode at a time is decided by
// who submits; a thread may wait for NVDEC, so there may be more of them than cores.
ThreadPool& DecodePool() {
  constexpr int kMaxThreads = 64;
  static auto* const pool = new ThreadPool(kMaxThreads);
  return *pool;
}

// The core reports by Status, but its containers allocate; a clip that does not fit must not end the process.
Outcome RunGuarded(const Job::Work& work, const CancelTokenPtr& cancel) {
  try {
    return work(cancel);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal,
                  std::string("unexpected exception: ") + error.what() + ". This is a bug in cosmos-embed.");
  }
}

}  // namespace

Job::~Job() {
  if (state_ != State::kEnded) {
    Finish(
        Status(StatusCode::kInternal, "a job was dropped without an answer. This is a bug in cosmos-embed."));
  }
}

void Job::Run() {
  if (!Start()) return;
  Outcome outcome = RunGuarded(work_, cancel_);
  work_ = nullptr;  // what it pinned is free by the time the answer arrives
  Finish(std::move(outcome));
}

bool Job::Start() {
  State waiting = State::kWaiting;
  if (!state_.compare_exchange_strong(waiting, State::kRunning)) return false;
  if (queue_->BeginWork()) return true;
  state_ = State::kEnded;
  return false;
}

void Job::Finish(Outcome outcome) {
  const bool entered = state_.exchange(State::kEnded) == State::kRunning;
  queue_->Post(
      [id = id_, outcome = std::move(outcome)](Napi::Env env) { Environment::Of(env).Settle(id, outcome); });
  if (entered) queue_->EndWork();
}

bool Job::Abandon() {
  State waiting = State::kWaiting;
  if (!state_.compare_exchange_strong(waiting, State::kEnded)) return false;
  work_ = nullptr;
  return true;
}

NativeJob RunOnPool(Napi::Env env, Napi::Object keep, Job::Work work) {
  NativeJob started = Environment::Of(env).NewJob(keep);
  started.job->SetWork(std::move(work));
  DecodePool().Submit([job = started.job] { job->Run(); });
  return started;
}

}  // namespace cosmos
