#include "napi/js_task_queue.h"

#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

namespace cosmos {
namespace {

// Counts the work of environments that have ended.
class LeftBehind {
 public:
  // Intentionally leaked: work may end after static objects were destroyed.
  static LeftBehind& Get() {
    static auto* const work = new LeftBehind;
    return *work;
  }

  void Add(int count) {
    const std::lock_guard lock(mutex_);
    running_ += count;
    // What is registered last runs first: before static objects are destroyed of libraries that the work
    // uses.
    if (!waits_at_exit_)
      waits_at_exit_ = on_exit([](int code, void*) { Get().WaitAtExit(code); }, nullptr) == 0;
  }
  void End() {
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) idle_.notify_all();
  }

 private:
  void WaitAtExit(int code) {
    constexpr std::chrono::seconds kTimeout{5};
    std::unique_lock lock(mutex_);
    if (!idle_.wait_for(lock, kTimeout, [this] { return running_ == 0; })) std::_Exit(code);
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  int running_ = 0;
  bool waits_at_exit_ = false;
};

}  // namespace

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

bool JsTaskQueue::BeginWork(Memory memory) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  ++active_work_;
  if (memory == Memory::kBorrowed) ++borrowing_work_;
  return true;
}

void JsTaskQueue::EndWork(Memory memory) {
  const std::lock_guard lock(mutex_);
  --active_work_;
  if (memory == Memory::kBorrowed) --borrowing_work_;
  if (left_behind_) LeftBehind::Get().End();
  idle_.notify_all();
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

bool JsTaskQueue::Close(std::chrono::milliseconds timeout) {
  const std::vector<Task> dropped = StopAccepting();
  std::unique_lock lock(mutex_);
  if (left_behind_) return active_work_ == 0;
  if (idle_.wait_for(lock, timeout, [this] { return active_work_ == 0; })) return true;
  idle_.wait(lock, [this] { return borrowing_work_ == 0; });
  if (active_work_ == 0) return true;
  LeftBehind::Get().Add(active_work_);
  left_behind_ = true;
  return false;
}

}  // namespace cosmos
