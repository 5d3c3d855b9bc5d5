// The sandbox of a decoder process. It is in place before the first byte of media.
#pragma once

#include <cstdint>

#include "isolation/messages.h"

namespace cosmos {

struct SandboxLimits {
  std::int64_t private_bytes = 0;  // heap and stacks; 0: no limit
  std::int64_t shared_bytes = 0;   // the largest clip with images that the process may send
};

// Takes away everything that decoding does not need. Call it while the process has one thread; threads that
// start later are inside too. Returns the walls that stand: an old kernel, a container or a distribution may
// forbid some of them.
Walls EnterSandbox(const SandboxLimits& limits);

// Installs the filter of system calls alone. Returns whether the kernel accepted it.
bool FilterSystemCalls();

}  // namespace cosmos
