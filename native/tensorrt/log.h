// TensorRT's log, collected for the call that caused it and turned into typed errors: its functions
// themselves report failure only as null or false.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensorrt/abi.h"

namespace cosmos::trt {

// Receives warnings and errors of one library. Never freed, because the library keeps the first logger that
// it is given. Thread-safe.
class Log {
 public:
  Log() : logger10_(*this), logger11_(*this) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // The logger object for a library of this major.
  void* logger(int major) {
    return major == 10 ? static_cast<void*>(static_cast<Logger10*>(&logger10_))
                       : static_cast<Logger11*>(&logger11_);
  }

 private:
  friend class LogScope;
  void Add(Severity severity, const char* text) noexcept;

  template <typename Base>
  class Logger final : public Base {
   public:
    explicit Logger(trt::Log& log) : log_(log) {}
    void Write(Severity severity, const char* text) noexcept override { log_.Add(severity, text); }

   private:
    trt::Log& log_;
  };

  Logger<Logger10> logger10_;
  Logger<Logger11> logger11_;
  std::mutex mutex_;
  std::deque<std::string> unscoped_;  // the last lines of the library's own threads
  std::int64_t unscoped_count_ = 0;   // lines received from them so far
};

// Collects what the library logs on this thread, and on its own threads, while this object lives. Used on one
// thread; scopes nest.
class LogScope {
 public:
  explicit LogScope(Log& log);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

  // Whether an error was logged, not only warnings.
  bool error() const { return error_; }
  // "<doing>: <the remedy for a known message, or the last line>", with the details "reason", "log" and
  // "cause" (e.g. "version_mismatch"; "" if no line is known). `code` is used if no line is known.
  Status Failure(StatusCode code, std::string_view doing) const;

 private:
  friend class Log;
  std::vector<std::string> Lines() const;

  Log& log_;
  LogScope* const outer_;
  std::int64_t first_unscoped_;
  std::deque<std::string> lines_;
  bool error_ = false;
};

// Removes addresses, and the folders of the machine that the library was built on.
std::string Redact(std::string_view line);

}  // namespace cosmos::trt
