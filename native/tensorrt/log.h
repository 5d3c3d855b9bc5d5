// What TensorRT says while it works: kept for the call that it belongs to, and read as typed errors. Its
// functions themselves answer null or false and no more.
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

// The lines of one library, warnings and worse. Never freed, as the library keeps the first logger that it
// was given. Thread-safe.
class Log {
 public:
  Log() : logger10_(*this), logger11_(*this) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // To be handed to the library of that major.
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
  std::deque<std::string> unscoped_;  // from threads of the library's own, which have no scope
  std::int64_t unscoped_count_ = 0;   // all that there ever were
};

// While it lives, what the library logs on this thread belongs to it, and what its own threads log too. Lives
// on one thread; scopes nest.
class LogScope {
 public:
  explicit LogScope(Log& log);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

  // Whether an error was logged, not only warnings.
  bool error() const { return error_; }
  // "<doing>: <what the log means, or its last line>", with the details "reason", "log" and "cause" (e.g.
  // "version_mismatch"; "" for a log that is not understood). `code` is for the latter.
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

// A line without addresses and without the folders of whoever built the library.
std::string Redact(std::string_view line);

}  // namespace cosmos::trt
