// Status and Result: how all native code below napi/ reports failure. It throws no exceptions of its own,
// though containers may throw std::bad_alloc; napi/ turns a Status into a JavaScript error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cosmos {

// Mirrored by `NativeErrorCode` in lib/binding.d.ts and mapped to error classes by src/errors.ts; a test
// compares the three.
enum class StatusCode {
  kOk,
  kCancelled,        // the caller cancelled the job
  kInvalidArgument,  // the call could never succeed: a bug in the caller
  kSource,           // the bytes could not be read (no such file, permission, I/O)
  kMedia,            // the bytes hold no video that we can decode
  kEncrypted,        // the video is encrypted: decoding it would produce noise
  kLimit,            // one of the caller's limits was exceeded
  kTimeout,          // the wall-clock limit was exceeded
  kLibrary,          // a run-time library is missing or unusable
  kModel,            // the model's files or signature are not what was expected
  kEngine,           // the engine failed while running
  kDeviceLost,       // the device is unusable for the rest of this process
  kOutOfMemory,
  kInternal,  // a broken invariant: this is a bug in cosmos-embed
};

// The wire name, e.g. "invalid_argument".
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  using Detail = std::variant<std::string, double>;
  using Details = std::vector<std::pair<std::string, Detail>>;

  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const Details& details() const { return details_; }

  // Adds a machine-readable fact to the error, e.g. With("codec", "h264").With("limit", 16.0).
  Status&& With(std::string key, Detail value) && {
    details_.emplace_back(std::move(key), std::move(value));
    return std::move(*this);
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  Details details_;
};

// Returns the Status of `expression` from the calling function unless it is ok.
#define COSMOS_RETURN_IF_ERROR(expression) \
  if (::cosmos::Status status_ = (expression); !status_.ok()) return status_

// A value, or the Status that explains why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): allows `return value;` and `return status;`
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}

  bool ok() const { return state_.index() == 0; }
  // Ok when there is a value.
  Status status() const { return ok() ? Status() : std::get<1>(state_); }
  Status TakeStatus() { return ok() ? Status() : std::get<1>(std::move(state_)); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace cosmos

// Evaluates an expression that yields a Result. Returns its Status from the calling function on failure;
// otherwise moves its value into `target`, which may declare a variable:
//   COSMOS_ASSIGN_OR_RETURN(auto clip, reader->Next(cancel));
// Expands to several statements, so it needs braces under an `if`.
#define COSMOS_ASSIGN_OR_RETURN(target, ...) \
  COSMOS_ASSIGN_OR_RETURN_(COSMOS_CONCAT_(result_, __LINE__), target, __VA_ARGS__)
#define COSMOS_ASSIGN_OR_RETURN_(result, target, ...) \
  auto result = (__VA_ARGS__);                        \
  if (!result.ok()) return result.TakeStatus();       \
  target = std::move(result).value()
#define COSMOS_CONCAT_(a, b) COSMOS_CONCAT_NOW_(a, b)
#define COSMOS_CONCAT_NOW_(a, b) a##b
