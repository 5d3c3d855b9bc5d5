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

// Native threads post letters; the doorbell, a thread-safe function, wakes the JavaScript thread, which reads
// them. It outlives its environment: whoever still holds it then finds it closed.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  using Letter = std::function<void(Napi::Env)>;

  // On the JavaScript thread. The doorbell does not keep the process running unless KeepRunning says so.
  explicit Mailbox(Napi::Env env);
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // From any thread. A letter to a closed mailbox is dropped, on the calling thread: it must own no
  // JavaScript value.
  void Post(Letter letter);

  // Brackets native work that may touch memory of this environment or post. False: closed, do not begin.
  bool Enter();
  void Leave();

  // Destroys `thing`, then calls `then`, without making the JavaScript thread wait (an engine joins its
  // thread and frees its sessions). Once closed there is nobody left to wait, so `thing` goes at once.
  void Discard(
      std::shared_ptr<void> thing, std::function<void()> then = [] {});

  // On the JavaScript thread.
  void KeepRunning(bool keep);
  // Refuses new work and waits for what has entered: after it, no native thread touches this environment.
  void Close();
  // The same, but waits no longer than this. False: something is still inside.
  bool Close(std::chrono::milliseconds longest);

 private:
  static void Read(Napi::Env env, Napi::Function, Mailbox* mailbox, void*);
  using Doorbell = Napi::TypedThreadSafeFunction<Mailbox, void, Read>;

  std::vector<Letter> Refuse();

  Napi::Env env_;
  Doorbell doorbell_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<Letter> letters_;
  int inside_ = 0;
  bool closed_ = false;
};

}  // namespace cosmos
