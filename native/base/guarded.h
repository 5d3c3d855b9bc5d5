// Turns exceptions into statuses, where the code that throws must not end the process.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>

#include "base/shortage.h"
#include "base/status.h"

namespace cosmos {

// A thread could not be started.
inline Status NoThread(const std::system_error& error) {
  const bool shortage = IsShortageOfThreads(error.code().value());
  return {shortage ? StatusCode::kOutOfMemory : StatusCode::kInternal,
          std::string("no thread can be started: ") + error.what()};
}

// Calls `work`, whose result can be made from a Status. The core reports by Status, but its containers may
// throw std::bad_alloc, and its threads std::system_error.
template <typename Work>
std::invoke_result_t<const Work&> RunGuarded(const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::system_error& error) {
    return NoThread(error);
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal,
                  std::string("unexpected exception: ") + error.what() + ". This is a bug in cosmos-embed.");
  }
}

}  // namespace cosmos
