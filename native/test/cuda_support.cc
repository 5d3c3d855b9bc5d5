#include "cuda_support.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "media_support.h"

namespace cosmos::test {
namespace {

template <typename T>
T& Must(Result<T*> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().message();
    std::abort();
  }
  return *result.value();
}

}  // namespace

std::string FakeCudaPath() { return COSMOS_FAKES "/cuda/libcuda.so.1"; }

std::string FreshFakeCuda() {
  static int count = 0;
  const std::filesystem::path folder = ScratchFolder() / ("libcuda-" + std::to_string(++count));
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(FakeCudaPath(), folder / "libcuda.so.1");
  return folder / "libcuda.so.1";
}

FakeCuda::FakeCuda(const std::string& path) : library_(dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD)) {
  if (!library_) {
    ADD_FAILURE() << path << " is not open";
    std::abort();
  }
  live_bytes = Find<decltype(live_bytes)>("fake_cuda_live_bytes");
  pinned_bytes = Find<decltype(pinned_bytes)>("fake_cuda_pinned_bytes");
  live_handles = Find<decltype(live_handles)>("fake_cuda_live_handles");
  pending = Find<decltype(pending)>("fake_cuda_pending");
  calls = Find<decltype(calls)>("fake_cuda_calls");
  errors = Find<decltype(errors)>("fake_cuda_errors");
  reset = Find<decltype(reset)>("fake_cuda_reset");
}

void* FakeCuda::FindAddress(const char* symbol) const {
  void* address = dlsym(library_, symbol);
  if (!address) ADD_FAILURE() << "the fake libcuda has no " << symbol;
  return address;
}

FakeDevice::FakeDevice()
    : path(FreshFakeCuda()),
      driver(Must(cuda::Driver::Open(path))),
      device(Must(cuda::Device::Open(driver, 0))),
      fake(path) {
  if (!device.MakeCurrent().ok()) std::abort();
}

}  // namespace cosmos::test
