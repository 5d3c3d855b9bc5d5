#include "napi/mailbox.h"

#include <system_error>
#include <thread>
#include <utility>

namespace cosmos {

Mailbox::Mailbox(Napi::Env env)
    : env_(env),
      // No limit to its queue: it holds at most one ring per reading. One owner: this object.
      doorbell_(Doorbell::New(env, "cosmos-embed", 0, 1, this)) {
  doorbell_.Unref(env_);
}

void Mailbox::Post(Letter letter) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  letters_.push_back(std::move(letter));
  if (letters_.size() == 1) doorbell_.NonBlockingCall();
}

void Mailbox::Read(Napi::Env env, Napi::Function, Mailbox* mailbox, void*) {
  // Node empties the queue of rings once more when the environment is gone.
  if (static_cast<napi_env>(env) == nullptr) return;
  std::vector<Letter> letters;
  {
    const std::lock_guard lock(mailbox->mutex_);
    letters.swap(mailbox->letters_);
  }
  for (const Letter& letter : letters) {
    const Napi::HandleScope scope(env);
    letter(env);
  }
}

bool Mailbox::Enter() {
  const std::lock_guard lock(mutex_);
  if (!closed_) ++inside_;
  return !closed_;
}

void Mailbox::Leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0) idle_.notify_all();
}

void Mailbox::Discard(std::shared_ptr<void> thing, std::function<void()> then) {
  if (!thing || !Enter()) return;
  // Held once, however often the lambda is copied.
  const auto held = std::make_shared<std::shared_ptr<void>>(std::move(thing));
  const auto destroy = [self = shared_from_this(), held, then = std::move(then)] {
    held->reset();
    then();
    self->Leave();
  };
  try {
    std::thread(destroy).detach();
  } catch (const std::system_error&) {  // no more threads: then here
    destroy();
  }
}

void Mailbox::KeepRunning(bool keep) {
  if (keep) {
    doorbell_.Ref(env_);
  } else {
    doorbell_.Unref(env_);
  }
}

std::vector<Mailbox::Letter> Mailbox::Refuse() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  return std::exchange(letters_, {});
}

void Mailbox::Close() {
  const std::vector<Letter> unread = Refuse();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return inside_ == 0; });
}

bool Mailbox::Close(std::chrono::milliseconds longest) {
  const std::vector<Letter> unread = Refuse();
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, longest, [this] { return inside_ == 0; });
}

}  // namespace cosmos
