// Failures of the system for want of something that the whole process or machine shares: descriptors, memory,
// mappings, threads. They are no fault of the media that is being read, and the same call may succeed later.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include "base/status.h"

namespace cosmos {

inline bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS || error == ETOOMANYREFS;
}

// Threads and processes fail with EAGAIN, which elsewhere means that nothing has come yet.
inline bool IsShortageOfThreads(int error) { return error == EAGAIN || IsShortage(error); }

// kOutOfMemory for a shortage, otherwise `code`. `what` failed, e.g. "memfd_create".
inline Status SystemStatus(int error, const std::string& what, StatusCode code = StatusCode::kInternal) {
  return {IsShortage(error) ? StatusCode::kOutOfMemory : code,
          what + " failed: " + std::generic_category().message(error)};
}

}  // namespace cosmos
