// Fault injection. COSMOS_FAKE_FAULTS is read at every call, so that a test can set it in its own process:
//
//   COSMOS_FAKE_FAULTS="cuMemAlloc_v2=2@3 enqueueV3=1@1+"
//
// Makes the third call of cuMemAlloc_v2 fail with 2, and every call of enqueueV3 from the first on with 1.
// Calls are counted anew when the variable changes. Each function defines what a number means.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace fakes {

inline std::optional<int> Fault(std::string_view function) {
  static std::mutex mutex;
  static std::string setting;
  static std::map<std::string, int, std::less<>> calls;
  const char* now = std::getenv("COSMOS_FAKE_FAULTS");
  const std::lock_guard lock(mutex);
  if (setting != (now ? now : "")) {
    setting = now ? now : "";
    calls.clear();
  }
  if (setting.empty()) return std::nullopt;
  const int call = ++calls.try_emplace(std::string(function), 0).first->second;
  for (std::string_view rest = setting; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const std::size_t equals = word.find('=');
    const std::size_t at = word.find('@');
    if (equals == std::string_view::npos || at == std::string_view::npos ||
        word.substr(0, equals) != function)
      continue;
    int value = 0;
    int nth = 0;
    std::from_chars(word.data() + equals + 1, word.data() + at, value);
    std::from_chars(word.data() + at + 1, word.data() + word.size(), nth);
    if (call == nth || (word.back() == '+' && call >= nth)) return value;
  }
  return std::nullopt;
}

}  // namespace fakes
