// Helpers for tests of native/cuda: the fake libcuda (test/fakes/cuda) and the environment that it reads.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>

#include "cuda/device.h"
#include "cuda/driver.h"

namespace cosmos::test {

// Sets an environment variable and restores it when destroyed.
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

// Injects faults, in the syntax of COSMOS_FAKE_FAULTS: "cuMemAlloc_v2=2@3".
class ScopedFaults : public ScopedVariable {
 public:
  explicit ScopedFaults(const std::string& faults) : ScopedVariable("COSMOS_FAKE_FAULTS", faults) {}
};

// The file that the build made.
std::string FakeCudaPath();
// A copy of that file, which has its own state and reads COSMOS_FAKE_CUDA_DEVICES anew.
std::string FreshFakeCuda();

// The functions that the fake adds (test/fakes/cuda/fake_cuda.h). `path` must be open already.
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

  // Any function that the fake exports.
  template <typename Function>
  Function Find(const char* symbol) const {
    return reinterpret_cast<Function>(FindAddress(symbol));
  }

 private:
  void* FindAddress(const char* symbol) const;
  void* library_;
};

// A fresh fake and its first device, open and current. Aborts if that fails.
struct FakeDevice {
  FakeDevice();
  const std::string path;
  cuda::Driver& driver;
  cuda::Device& device;
  const FakeCuda fake;
};

}  // namespace cosmos::test
