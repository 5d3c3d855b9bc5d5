#include "napi/environment.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "napi/error.h"

namespace cosmos {
namespace {

// How long jobs may take to stop. Nearly all stop at once; one that is within a picture may not.
constexpr std::chrono::seconds kStopTimeout{5};

bool OnMainThread() { return syscall(SYS_gettid) == getpid(); }

}  // namespace

Environment& Environment::Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Environment::Environment(Napi::Env env)
    : env_(env), on_main_thread_(OnMainThread()), queue_(std::make_shared<JsTaskQueue>(env)) {
  const auto process = env.Global().Get("process").As<Napi::Object>();
  const auto on_exit = Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    Of(info.Env()).StopForExit(info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 0);
  });
  process.Get("once").As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), on_exit});
  // Added last: the calls into JavaScript above throw in a worker that is being terminated, which destroys
  // this object; a hook added earlier would still be called.
  env.AddCleanupHook([this] {
    // On the main thread a decode reads memory of JavaScript, so it must end first. It has ended, or the
    // process has, unless a program embeds Node and frees its environment without the event.
    Stop(on_main_thread_ ? std::chrono::hours(1000) : kStopTimeout);
    DropReferences();
  });
}

void Environment::CancelAll() {
  stopped_ = true;
  for (const auto& [id, pending] : pending_) pending.cancel->Cancel();
}

bool Environment::Stop(std::chrono::milliseconds timeout) {
  CancelAll();
  return queue_->Close(timeout);
}

void Environment::StopForExit(int code) {
  // A worker ends while the process goes on, with what the worker left behind.
  if (!Stop(kStopTimeout) && on_main_thread_) std::_Exit(code);
}

void Environment::DropReferences() {
  pending_.clear();
  pins_.clear();
  constructors_.clear();
}

NativeJob Environment::NewJob(Napi::Object keep) {
  if (stopped_) Throw(env_, Status(StatusCode::kCancelled, "the process or worker thread is exiting"));
  const std::uint64_t id = ++next_id_;
  auto job = std::make_shared<Job>(queue_, id);
  const auto deferred = Napi::Promise::Deferred::New(env_);
  Napi::ObjectReference reference;
  if (!keep.IsEmpty()) reference = Napi::Persistent(keep);

  const auto cancel = [id](const Napi::CallbackInfo& info) { Environment::Of(info.Env()).Cancel(id); };
  Napi::Object handle = Napi::Object::New(env_);
  handle.Set("promise", deferred.Promise());
  handle.Set("cancel", Napi::Function::New(env_, cancel, "cancel"));
  const auto unref = [id](const Napi::CallbackInfo& info) { Environment::Of(info.Env()).Unref(id); };
  handle.Set("unref", Napi::Function::New(env_, unref, "unref"));
  AdjustRefCount(1);
  pending_.emplace(id, Pending{deferred, job->cancel(), job, std::move(reference)});
  return {handle, std::move(job)};
}

void Environment::AdjustRefCount(int change) {
  ref_count_ += change;
  queue_->KeepProcessAlive(ref_count_ > 0);
}

void Environment::Unref(std::uint64_t id) {
  const auto found = pending_.find(id);
  if (found != pending_.end() && std::exchange(found->second.referenced, false)) AdjustRefCount(-1);
}

void Environment::Cancel(std::uint64_t id) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  found->second.cancel->Cancel();
  // A running job ends when it next polls its token. A queued one would only do so after its turn: end it
  // here.
  const std::shared_ptr<Job> job = found->second.job.lock();
  if (job && job->Abandon()) Settle(id, Status(StatusCode::kCancelled, "cancelled before it began"));
}

void Environment::Settle(std::uint64_t id, const Outcome& outcome) {
  auto node = pending_.extract(id);
  if (node.empty()) return;
  if (node.mapped().referenced) AdjustRefCount(-1);
  const Napi::Promise::Deferred& deferred = node.mapped().deferred;
  try {
    if (outcome.ok()) {
      try {
        return deferred.Resolve(outcome.value()(env_));
      } catch (const Napi::Error& error) {  // e.g. out of memory for the vectors
        return deferred.Reject(error.Value());
      }
    }
    deferred.Reject(ToError(env_, outcome.status()).Value());
  } catch (const Napi::Error&) {  // NOLINT(bugprone-empty-catch)
    // The worker is being terminated: it runs no JavaScript any more, so nothing can wait for the promise.
  }
}

MediaBytes Environment::Pin(const Napi::Uint8Array& bytes) {
  // Checked again: getters of the caller that ran since may have transferred the buffer.
  const auto now = static_cast<const Napi::Value&>(bytes).As<Napi::Uint8Array>();
  if (now.ByteLength() == 0) ThrowInvalid(env_, "bytes", "detached while the arguments were read");
  if (!on_main_thread_) {
    const std::span<const std::uint8_t> borrowed(now.Data(), now.ByteLength());
    auto copy = std::make_shared<std::vector<std::uint8_t>>(borrowed.begin(), borrowed.end());
    return {*copy, copy};
  }
  const std::uint64_t id = ++next_id_;
  pins_.emplace(id, Napi::Persistent(now.ArrayBuffer().As<Napi::Object>()));
  std::shared_ptr<const void> owner(now.Data(), [queue = queue_, id](const void*) {
    queue->Post([id](Napi::Env env) { Environment::Of(env).pins_.erase(id); });
  });
  return {{now.Data(), now.ByteLength()}, std::move(owner)};
}

}  // namespace cosmos
