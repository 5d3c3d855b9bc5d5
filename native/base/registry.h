// A process-wide cache of objects that are opened once and kept.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/status.h"

namespace cosmos {

// The objects of one type, by name: shared libraries by path, GPUs by driver and ordinal. Thread-safe.
template <typename T, typename Name = std::string>
class Registry {
 public:
  static Registry& Global() {
    // Intentionally leaked: threads of these libraries may outlive static destruction.
    static auto* const registry = new Registry;
    return *registry;
  }

  // Returns the object of this name. The first call creates it with `make()`, which returns a
  // Result<std::unique_ptr<T>>; concurrent calls wait. Failures are not cached: the next call tries again.
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
