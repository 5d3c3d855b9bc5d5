// What a process opens once and keeps.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/status.h"

namespace cosmos {

// The objects of one type by name: shared libraries by the file, GPUs by driver and number.
// Thread-safe.
template <typename T, typename Name = std::string>
class Registry {
 public:
  static Registry& Global() {
    // Never freed: threads of what is in it may outlive every static of ours.
    static auto* const registry = new Registry;
    return *registry;
  }

  // The one of this name. The first call makes it, by `make()`, a Result<std::unique_ptr<T>>, while others
  // wait. A failure is not kept: the next call tries again.
  template <typename Make>
  Result<T*> Get(const Name& name, Make make) {
    const std::lock_guard lock(mutex_);
    if (const auto found = objects_.find(name); found != objects_.end()) return found->second.get();
    COSMOS_ASSIGN_OR_RETURN(auto made, make());
    return objects_.emplace(name, std::move(made)).first->second.get();
  }

 private:
  Registry() = default;

  std::mutex mutex_;
  std::map<Name, std::unique_ptr<T>> objects_;
};

}  // namespace cosmos
