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

  // Enclose native work that may post. BeginWork returns false once the queue is closed: the work must not
  // begin then. Work that reads memory of this environment says so, since it must end before the environment.
  enum class Memory { kOwn, kBorrowed };
  bool BeginWork(Memory memory = Memory::kOwn);
  void EndWork(Memory memory = Memory::kOwn);

  // Destroys `object` on another thread, then calls `then`: destroying an engine joins its thread and frees
  // its sessions, which would block the JavaScript thread. Destroys it at once if the queue is closed.
  void DestroyInBackground(
      std::shared_ptr<void> object, std::function<void()> then = [] {});

  // On the JavaScript thread.
  void KeepProcessAlive(bool keep);
  // Refuses new work and waits for work that has begun, up to `timeout` and for as long as it takes when it
  // reads memory of this environment: afterwards no native thread touches this environment. Returns false if
  // work is still running then. It goes on without this environment, and the end of the process waits for it
  // once more.
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
  int borrowing_work_ = 0;
  bool closed_ = false;
  bool left_behind_ = false;  // work was running when the queue was closed, and is counted for the process
};

}  // namespace cosmos
