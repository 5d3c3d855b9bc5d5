// Bounds the time and memory that a hostile file may cost.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <set>
#include <string>

#include "hostile_files.h"
#include "media_support.h"

namespace cosmos::test {

// The peak size of the process in MiB, since the last call with `forget`.
inline long PeakMiB(bool forget = false) {
  if (forget) std::ofstream("/proc/self/clear_refs") << 5;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) / 1024;
  }
  return 0;
}

// Checks what reading `file` costs. The bounds are wide: the attacks cost ten times as much.
class Cost {
 public:
  Cost() : before_(PeakMiB(true)) {}
  ~Cost() {
    using Seconds = std::chrono::duration<double>;
    EXPECT_LT(Seconds(std::chrono::steady_clock::now() - began_).count(), 30);
    EXPECT_LT(PeakMiB() - before_, 900);
  }
  Cost(const Cost&) = delete;
  Cost& operator=(const Cost&) = delete;

 private:
  long before_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

inline MediaBytes Lend(const Bytes& file) {
  return {{reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, nullptr};
}

inline Status ReadBytes(const Bytes& file, const ClipRequest& request = {}) {
  const Cost cost;
  return ReadError(Lend(file), request);
}

inline void ExpectRefused(const std::string& name, const Bytes& file, std::set<StatusCode> codes) {
  SCOPED_TRACE(name + ", " + std::to_string(file.size()) + " bytes");
  const Status status = ReadBytes(file);
  EXPECT_TRUE(codes.contains(status.code())) << StatusCodeName(status.code()) << ": " << status.message();
}

inline const std::set<StatusCode> kRefusals = {StatusCode::kMedia, StatusCode::kLimit};
inline const std::set<StatusCode> kOverLimit = {StatusCode::kLimit};

}  // namespace cosmos::test
