// What one JavaScript environment (the main thread, or one worker thread) owns.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "media/clip_reader.h"
#include "napi/job.h"
#include "napi/js_task_queue.h"
#include "napi/node.h"

namespace cosmos {

// Instance data of the addon, so that any number of worker threads can load it. Only its own JavaScript
// thread calls it; native threads see the queue.
//
// It ends in this order, whether the loop ran dry, process.exit() was called or a worker was terminated:
//   1. Stop: cancels every job and waits for those that run. From here on no native thread touches memory of
//   this
//      environment. Called by the cleanup hook, and by process 'exit', because process.exit() runs no hooks
//      while it does destroy the static objects of the libraries that a job may be in. There the process's
//      main thread waits a few seconds at most: a decoder that is in the middle of a picture cannot be
//      stopped, and must not keep a process from ending. Then it ends at once, without destroying anything.
//   2. The hook drops all references to JavaScript values, while that is still allowed.
//   3. The doorbell, created before the hook was added, is closed by Node after it.
//   4. Node finalises clips, readers and engines, which then only free native memory.
//   5. Node deletes this object.
class Environment {
 public:
  static Environment& Of(Napi::Env env);
  explicit Environment(Napi::Env env);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  const std::shared_ptr<JsTaskQueue>& queue() const { return queue_; }

  // The process stays up until the job is settled or let go, and `keep` is not collected until it is settled.
  NativeJob NewJob(Napi::Object keep);
  void Cancel(std::uint64_t id);
  void Unref(std::uint64_t id);
  void Settle(std::uint64_t id, const Outcome& outcome);
  bool IsPending(std::uint64_t id) const { return pending_.contains(id); }

  // Keeps the buffer of `bytes` (from Arg::Bytes) until the last copy of the result is gone, on whatever
  // thread.
  MediaBytes Pin(const Napi::Uint8Array& bytes);

  // The constructor of a wrapped class, by the class's type tag; empty until it is set.
  Napi::FunctionReference& Constructor(const napi_type_tag* tag) { return constructors_[tag]; }

 private:
  struct Pending {
    Napi::Promise::Deferred deferred;
    CancelTokenPtr cancel;
    std::weak_ptr<Job> job;  // weak: a native side that drops it must be noticed
    Napi::ObjectReference keep;
    bool keeps_running = true;  // the process
  };

  void Stop();
  void StopForExit(int code);
  void CancelAll();
  void DropReferences();
  // One more or one less for whom the process is kept running.
  void Count(int change);

  Napi::Env env_;
  std::shared_ptr<JsTaskQueue> queue_;
  bool stopped_ = false;
  std::uint64_t next_id_ = 0;
  int keep_running_ = 0;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::unordered_map<std::uint64_t, Napi::ObjectReference> pins_;
  std::unordered_map<const napi_type_tag*, Napi::FunctionReference> constructors_;
};

}  // namespace cosmos
