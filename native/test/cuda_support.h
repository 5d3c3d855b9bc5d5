// What the tests of native/cuda share: the double of libcuda (test/fakes/cuda) and the environment it reads.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>

#include "cuda/device.h"
#include "cuda/driver.h"

namespace cosmos::test {

// A variable of the environment for as long as this lives.
class ScopedVariable {
 public:
  ScopedVariable(std::string name, const std::string& value) : name_(std::move(name)) {
    if (const char* now = std::getenv(name_.c_str())) before_ = now;
    setenv(name_.c_str(), value.c_str(), 1);
  }
  ~ScopedVariable() {
    if (before_) {
      setenv(name_.c_str(), before_->c_str(), 1);
    } else {
      unsetenv(name_.c_str());
    }
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const std::string name_;
  std::optional<std::string> before_;
};

// As COSMOS_FAKE_FAULTS: "cuMemAlloc_v2=2@3".
class ScopedFaults : public ScopedVariable {
 public:
  explicit ScopedFaults(const std::string& faults) : ScopedVariable("COSMOS_FAKE_FAULTS", faults) {}
};

// The double as the file that the build made.
std::string FakeCudaPath();
// A copy of that file with devices of its own (COSMOS_FAKE_CUDA_DEVICES), which no other test has seen.
std::string FreshFakeCuda();

// The double's own functions; `path` must be open already. See test/fakes/cuda/fake_cuda.h.
class FakeCuda {
 public:
  explicit FakeCuda(const std::string& path);

  std::size_t (*live_bytes)(int) = nullptr;
  std::size_t (*pinned_bytes)() = nullptr;
  int (*live_handles)() = nullptr;
  int (*pending)() = nullptr;
  int (*calls)(const char*) = nullptr;
  const char* (*errors)() = nullptr;
  void (*reset)() = nullptr;

  // A function of the driver or of the double.
  template <typename Function>
  Function Find(const char* symbol) const {
    return reinterpret_cast<Function>(FindAddress(symbol));
  }

 private:
  void* FindAddress(const char* symbol) const;
  void* library_;
};

// A fresh double and its first device, open and current. Ends the process when that fails.
struct FakeDevice {
  FakeDevice();
  const std::string path;
  cuda::Driver& driver;
  cuda::Device& device;
  const FakeCuda fake;
};

}  // namespace cosmos::test
