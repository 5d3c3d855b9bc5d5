#include "napi/js_task_queue.h"

#include <system_error>
#include <thread>
#include <utility>

namespace cosmos {

JsTaskQueue::JsTaskQueue(Napi::Env env)
    : env_(env),
      // Queue size 0 (unlimited): it holds at most one call per RunTasks. Thread count 1: owned by this
      // object.
      wakeup_(Wakeup::New(env, "cosmos-embed", 0, 1, this)) {
  wakeup_.Unref(env_);
}

void JsTaskQueue::Post(Task task) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  tasks_.push_back(std::move(task));
  if (tasks_.size() == 1) wakeup_.NonBlockingCall();
}

void JsTaskQueue::RunTasks(Napi::Env env, Napi::Function, JsTaskQueue* queue, void*) {
  // Node drains outstanding calls without an environment when that is gone.
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

void JsTaskQueue::DestroyInBackground(std::shared_ptr<void> object, std::function<void()> then) {
  if (!object || !BeginWork()) return;
  // Copies of the lambda share one owner, which releases the object exactly once.
  const auto owner = std::make_shared<std::shared_ptr<void>>(std::move(object));
  const auto destroy = [self = shared_from_this(), owner, then = std::move(then)] {
    owner->reset();
    then();
    self->EndWork();
  };
  try {
    std::thread(destroy).detach();
  } catch (const std::system_error&) {  // no thread can be started
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
  const std::vector<Task> dropped = StopAccepting();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_work_ == 0; });
}

bool JsTaskQueue::Close(std::chrono::milliseconds timeout) {
  const std::vector<Task> dropped = StopAccepting();
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, timeout, [this] { return active_work_ == 0; });
}

}  // namespace cosmos
