// The CUDA driver, opened at run time, once per process.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "cuda/abi.h"

namespace cosmos::cuda {

class Driver {
 public:
  // `path` is absolute, or empty for the libcuda.so.1 that the system's loader finds. Initialises the driver.
  // Fails with kLibrary when the library is missing, lacks a function or cannot be initialised.
  static Result<Driver*> Open(const std::string& path = {});

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  const Api& api() const { return api_; }
  // The newest CUDA version that the driver supports, as 1000 * major + 10 * minor, e.g. 12040.
  int version() const { return version_; }
  // "12.4"
  std::string version_text() const;
  // The path or name that it was opened with.
  const std::string& library() const { return library_; }
  // The devices that CUDA_VISIBLE_DEVICES exposes to this process.
  int device_count() const { return device_count_; }

  // Converts the result of a call: kOutOfMemory, kDeviceLost for a sticky error, otherwise `code`. The
  // message is "<doing>: CUDA_ERROR_… (<the driver's text>)", with the details "cuda" (the number) and
  // "reason".
  Status Check(CUresult result, std::string_view doing, StatusCode code = StatusCode::kEngine) const;

 private:
  static Result<std::unique_ptr<Driver>> Load(const std::string& path);
  Driver(std::string library, const Api& api) : library_(std::move(library)), api_(api) {}
  Status Start();

  const std::string library_;
  const Api api_;
  int version_ = 0;
  int device_count_ = 0;
};

// Whether the error is sticky: every later call on its context fails until the process ends.
bool IsSticky(CUresult result);

}  // namespace cosmos::cuda
