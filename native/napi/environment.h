// The addon's state in one JavaScript environment: the main thread or one worker thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "media/clip_reader.h"
#include "napi/job.h"
#include "napi/js_task_queue.h"
#include "napi/node.h"

namespace cosmos {

// Stored as instance data, so that any number of worker threads can load the addon. Only its own JavaScript
// thread calls it; native threads use the task queue.
//
// Order of teardown, whether the event loop ran dry, process.exit() was called or a worker was terminated:
//   1. Stop cancels every job and waits for running ones. From here on no native thread touches this
//      environment's memory. Called by the cleanup hook and on process 'exit': process.exit() runs no hooks,
//      but destroys static objects of libraries that a job may be executing in. The wait is limited to a few
//      seconds, because a decoder in the middle of a picture cannot be interrupted. After that, a worker ends
//      and the decoder finishes its picture alone: the bytes that it reads are its own. The process exits
//      without running destructors.
//   2. The hook releases all references to JavaScript values, while that is still allowed.
//   3. Node closes the queue's thread-safe function, which was created before the hook was added.
//   4. Node finalises clips, readers and engines, which only free native memory by then.
//   5. Node deletes this object.
class Environment {
 public:
  static Environment& Of(Napi::Env env);
  explicit Environment(Napi::Env env);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  const std::shared_ptr<JsTaskQueue>& queue() const { return queue_; }

  // Keeps the process alive until the job is settled or unreferenced, and keeps `keep` from garbage
  // collection until it is settled.
  NativeJob NewJob(Napi::Object keep);
  void Cancel(std::uint64_t id);
  void Unref(std::uint64_t id);
  void Settle(std::uint64_t id, const Outcome& outcome);
  bool IsPending(std::uint64_t id) const { return pending_.contains(id); }

  // Keeps the buffer of `bytes` (from Arg::Bytes) alive until the last copy of the result is destroyed, on
  // whatever thread. In a worker, whose memory is freed when it ends, it copies them.
  MediaBytes Pin(const Napi::Uint8Array& bytes);

  // The constructor of a wrapped class, by the class's type tag; empty until it is set.
  Napi::FunctionReference& Constructor(const napi_type_tag* tag) { return constructors_[tag]; }

 private:
  struct Pending {
    Napi::Promise::Deferred deferred;
    CancelTokenPtr cancel;
    std::weak_ptr<Job> job;  // weak, so that a job which native code drops reports that in its destructor
    Napi::ObjectReference keep;
    bool referenced = true;  // keeps the process alive
  };

  // Returns false if jobs are still running.
  bool Stop(std::chrono::milliseconds timeout);
  void StopForExit(int code);
  void CancelAll();
  void DropReferences();
  // Changes the number of jobs that keep the process alive.
  void AdjustRefCount(int change);

  Napi::Env env_;
  const bool on_main_thread_;
  std::shared_ptr<JsTaskQueue> queue_;
  bool stopped_ = false;
  std::uint64_t next_id_ = 0;
  int ref_count_ = 0;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::unordered_map<std::uint64_t, Napi::ObjectReference> pins_;
  std::unordered_map<const napi_type_tag*, Napi::FunctionReference> constructors_;
};

}  // namespace cosmos
