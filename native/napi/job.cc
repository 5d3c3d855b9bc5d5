#include "napi/job.h"

#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "base/shortage.h"
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

Status NoThread(const std::system_error& error) {
  const bool shortage = IsShortageOfThreads(error.code().value());
  return {shortage ? StatusCode::kOutOfMemory : StatusCode::kInternal,
          std::string("no thread can be started: ") + error.what()};
}

// The core reports by Status, but its containers may throw std::bad_alloc, and its threads std::system_error,
// which must not end the process.
Outcome RunGuarded(const Job::Work& work, const CancelTokenPtr& cancel) {
  try {
    return work(cancel);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::system_error& error) {
    return NoThread(error);
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal,
                  std::string("unexpected exception: ") + error.what() + ". This is a bug in cosmos-embed.");
  }
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
  Outcome outcome = RunGuarded(work_, cancel_);
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
