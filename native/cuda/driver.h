// The CUDA driver, opened at run time and once per process.
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
  // `path` is absolute, or empty for libcuda.so.1 as the system's loader finds it. Initialises the driver.
  // Fails with kLibrary: no such library, a function that it lacks, a driver that does not start.
  static Result<Driver*> Open(const std::string& path = {});

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  const Api& api() const { return api_; }
  // 1000 * major + 10 * minor of the newest CUDA that the driver serves, e.g. 12040.
  int version() const { return version_; }
  // "12.4"
  std::string version_text() const;
  // The name that it was opened by.
  const std::string& library() const { return library_; }
  // Devices that CUDA_VISIBLE_DEVICES lets this process see.
  int device_count() const { return device_count_; }

  // The Status of a call: kOutOfMemory; kDeviceLost for the errors after which every further call of this
  // process fails; else `code`. The message is "<doing>: CUDA_ERROR_… (<the driver's text>)", with the
  // details "cuda" (the number) and "reason".
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

// Whether the error poisons the context for the rest of the process.
bool IsSticky(CUresult result);

}  // namespace cosmos::cuda
