// System calls that fail, for tests of what this process does when it can have no more of something.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace cosmos::test {

struct FailingCalls {
  std::vector<long> numbers;
  int error = 0;
  // If not negative: only where this argument has one of these bits.
  int argument = -1;
  std::uint32_t bits = 0;
};

// Runs `work` on a thread of its own on which these calls fail, as they do in threads and processes that it
// starts.
void RunWithout(const FailingCalls& calls, const std::function<void()>& work);

}  // namespace cosmos::test
