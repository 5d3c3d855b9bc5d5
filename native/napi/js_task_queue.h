// The way back from native threads to one JavaScript thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "napi/node.h"

namespace cosmos {

// Native threads post tasks; the doorbell, a thread-safe function, wakes the JavaScript thread, which reads
// them. It outlives its environment: whoever still holds it then finds it closed.
class JsTaskQueue : public std::enable_shared_from_this<JsTaskQueue> {
 public:
  using Task = std::function<void(Napi::Env)>;

  // On the JavaScript thread. The doorbell does not keep the process running unless KeepProcessAlive says so.
  explicit JsTaskQueue(Napi::Env env);
  JsTaskQueue(const JsTaskQueue&) = delete;
  JsTaskQueue& operator=(const JsTaskQueue&) = delete;

  // From any thread. A task to a closed queue is dropped, on the calling thread: it must own no
  // JavaScript value.
  void Post(Task task);

  // Brackets native work that may touch memory of this environment or post. False: closed, do not begin.
  bool BeginWork();
  void EndWork();

  // Destroys `thing`, then calls `then`, without making the JavaScript thread wait (an engine joins its
  // thread and frees its sessions). Once closed there is nobody left to wait, so `thing` goes at once.
  void DestroyInBackground(
      std::shared_ptr<void> thing, std::function<void()> then = [] {});

  // On the JavaScript thread.
  void KeepProcessAlive(bool keep);
  // Refuses new work and waits for what has entered: after it, no native thread touches this environment.
  void Close();
  // The same, but waits no longer than this. False: something is still inside.
  bool Close(std::chrono::milliseconds longest);

 private:
  static void Read(Napi::Env env, Napi::Function, JsTaskQueue* queue, void*);
  using Wakeup = Napi::TypedThreadSafeFunction<JsTaskQueue, void, Read>;

  std::vector<Task> StopAccepting();

  Napi::Env env_;
  Wakeup wakeup_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<Task> tasks_;
  int active_work_ = 0;
  bool closed_ = false;
};

}  // namespace cosmos
