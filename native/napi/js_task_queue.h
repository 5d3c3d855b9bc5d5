// Runs tasks of native threads on one JavaScript thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "napi/node.h"

namespace cosmos {

// Any thread posts tasks; a thread-safe function wakes the JavaScript thread, which runs them. May outlive
// its environment: it is closed by then.
class JsTaskQueue : public std::enable_shared_from_this<JsTaskQueue> {
 public:
  using Task = std::function<void(Napi::Env)>;

  // On the JavaScript thread. Does not keep the process alive until KeepProcessAlive(true) is called.
  explicit JsTaskQueue(Napi::Env env);
  JsTaskQueue(const JsTaskQueue&) = delete;
  JsTaskQueue& operator=(const JsTaskQueue&) = delete;

  // From any thread. A closed queue destroys the task on the calling thread, so it must own no JavaScript
  // value.
  void Post(Task task);

  // Enclose native work that may post or touch memory of this environment. BeginWork returns false once the
  // queue is closed: the work must not begin then.
  bool BeginWork();
  void EndWork();

  // Destroys `object` on another thread, then calls `then`: destroying an engine joins its thread and frees
  // its sessions, which would block the JavaScript thread. Destroys it at once if the queue is closed.
  void DestroyInBackground(
      std::shared_ptr<void> object, std::function<void()> then = [] {});

  // On the JavaScript thread.
  void KeepProcessAlive(bool keep);
  // Refuses new work and waits for work that has begun: afterwards no native thread touches this environment.
  void Close();
  // Waits no longer than `timeout`. Returns false if work is still running then.
  bool Close(std::chrono::milliseconds timeout);

 private:
  static void RunTasks(Napi::Env env, Napi::Function, JsTaskQueue* queue, void*);
  using Wakeup = Napi::TypedThreadSafeFunction<JsTaskQueue, void, RunTasks>;

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
