#include "napi/job.h"

#include "base/guarded.h"
#include "base/thread_pool.h"
#include "napi/environment.h"

namespace cosmos {
namespace {

// Shared by all environments of the process. Intentionally leaked: its threads are idle at exit, and joining
// them in a static destructor could hang. The callers decide how many decodes run at a time; a thread may
// wait for NVDEC, so there may be more threads than cores.
ThreadPool& DecodePool() {
  constexpr int kMaxThreads = 64;
  static auto* const pool = new ThreadPool(kMaxThreads);
  return *pool;
}

}  // namespace

Job::~Job() {
  if (state_ != State::kEnded) {
    Finish(
        Status(StatusCode::kInternal, "a job was dropped without a result. This is a bug in cosmos-embed."));
  }
}

void Job::Run() {
  if (!Start()) return;
  Outcome outcome = RunGuarded([this]() -> Outcome { return work_(cancel_); });
  work_ = nullptr;  // releases pinned input before the promise settles
  Finish(std::move(outcome));
}

bool Job::Start() {
  State expected = State::kQueued;
  if (!state_.compare_exchange_strong(expected, State::kRunning)) return false;
  if (queue_->BeginWork(memory_)) return true;
  state_ = State::kEnded;
  return false;
}

void Job::Finish(Outcome outcome) {
  const bool entered = state_.exchange(State::kEnded) == State::kRunning;
  queue_->Post(
      [id = id_, outcome = std::move(outcome)](Napi::Env env) { Environment::Of(env).Settle(id, outcome); });
  if (entered) queue_->EndWork(memory_);
}

bool Job::Abandon() {
  State expected = State::kQueued;
  if (!state_.compare_exchange_strong(expected, State::kEnded)) return false;
  work_ = nullptr;
  return true;
}

NativeJob RunOnPool(Napi::Env env, Napi::Object keep, Job::Work work, Job::Memory memory) {
  NativeJob started = Environment::Of(env).NewJob(keep);
  started.job->SetWork(std::move(work), memory);
  try {
    DecodePool().Submit([job = started.job] { job->Run(); });
  } catch (const std::system_error& error) {
    started.job->Finish(NoThread(error));
  }
  return started;
}

}  // namespace cosmos
