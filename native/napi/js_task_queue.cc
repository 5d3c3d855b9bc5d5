#include "napi/js_task_queue.h"

#include <system_error>
#include <thread>
#include <utility>

namespace cosmos {

JsTaskQueue::JsTaskQueue(Napi::Env env)
    : env_(env),
      // No limit to its queue: it holds at most one ring per reading. One owner: this object.
      wakeup_(Wakeup::New(env, "cosmos-embed", 0, 1, this)) {
  wakeup_.Unref(env_);
}

void JsTaskQueue::Post(Task task) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  tasks_.push_back(std::move(task));
  if (tasks_.size() == 1) wakeup_.NonBlockingCall();
}

void JsTaskQueue::Read(Napi::Env env, Napi::Function, JsTaskQueue* queue, void*) {
  // Node empties the queue of rings once more when the environment is gone.
  if (static_cast<napi_env>(env) == nullptr) return;
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(queue->mutex_);
    tasks.swap(queue->tasks_);
  }
  for (const Task& task : tasks) {
    const Napi::HandleScope scope(env);
    task(env);
  }
}

bool JsTaskQueue::BeginWork() {
  const std::lock_guard lock(mutex_);
  if (!closed_) ++active_work_;
  return !closed_;
}

void JsTaskQueue::EndWork() {
  const std::lock_guard lock(mutex_);
  if (--active_work_ == 0) idle_.notify_all();
}

void JsTaskQueue::DestroyInBackground(std::shared_ptr<void> thing, std::function<void()> then) {
  if (!thing || !BeginWork()) return;
  // Held once, however often the lambda is copied.
  const auto held = std::make_shared<std::shared_ptr<void>>(std::move(thing));
  const auto destroy = [self = shared_from_this(), held, then = std::move(then)] {
    held->reset();
    then();
    self->EndWork();
  };
  try {
    std::thread(destroy).detach();
  } catch (const std::system_error&) {  // no more threads: then here
    destroy();
  }
}

void JsTaskQueue::KeepProcessAlive(bool keep) {
  if (keep) {
    wakeup_.Ref(env_);
  } else {
    wakeup_.Unref(env_);
  }
}

std::vector<JsTaskQueue::Task> JsTaskQueue::StopAccepting() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  return std::exchange(tasks_, {});
}

void JsTaskQueue::Close() {
  const std::vector<Task> unread = StopAccepting();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_work_ == 0; });
}

bool JsTaskQueue::Close(std::chrono::milliseconds longest) {
  const std::vector<Task> unread = StopAccepting();
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, longest, [this] { return active_work_ == 0; });
}

}  // namespace cosmos
