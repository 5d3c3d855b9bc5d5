#include "cuda/state.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "faults.h"

namespace fakes {
namespace {

struct Named {
  int number;
  std::string_view name;
};
constexpr std::array kErrors = {
    Named{0, "CUDA_SUCCESS"},
    Named{1, "CUDA_ERROR_INVALID_VALUE"},
    Named{2, "CUDA_ERROR_OUT_OF_MEMORY"},
    Named{3, "CUDA_ERROR_NOT_INITIALIZED"},
    Named{4, "CUDA_ERROR_DEINITIALIZED"},
    Named{34, "CUDA_ERROR_STUB_LIBRARY"},
    Named{46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
    Named{100, "CUDA_ERROR_NO_DEVICE"},
    Named{101, "CUDA_ERROR_INVALID_DEVICE"},
    Named{200, "CUDA_ERROR_INVALID_IMAGE"},
    Named{201, "CUDA_ERROR_INVALID_CONTEXT"},
    Named{209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
    Named{214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
    Named{218, "CUDA_ERROR_INVALID_PTX"},
    Named{220, "CUDA_ERROR_NVLINK_UNCORRECTABLE"},
    Named{222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
    Named{226, "CUDA_ERROR_CONTAINED"},
    Named{400, "CUDA_ERROR_INVALID_HANDLE"},
    Named{401, "CUDA_ERROR_ILLEGAL_STATE"},
    Named{500, "CUDA_ERROR_NOT_FOUND"},
    Named{600, "CUDA_ERROR_NOT_READY"},
    Named{700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    Named{701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
    Named{702, "CUDA_ERROR_LAUNCH_TIMEOUT"},
    Named{709, "CUDA_ERROR_CONTEXT_IS_DESTROYED"},
    Named{710, "CUDA_ERROR_ASSERT"},
    Named{714, "CUDA_ERROR_HARDWARE_STACK_ERROR"},
    Named{715, "CUDA_ERROR_ILLEGAL_INSTRUCTION"},
    Named{716, "CUDA_ERROR_MISALIGNED_ADDRESS"},
    Named{717, "CUDA_ERROR_INVALID_ADDRESS_SPACE"},
    Named{718, "CUDA_ERROR_INVALID_PC"},
    Named{719, "CUDA_ERROR_LAUNCH_FAILED"},
    Named{721, "CUDA_ERROR_TENSOR_MEMORY_LEAK"},
    Named{801, "CUDA_ERROR_NOT_SUPPORTED"},
    Named{802, "CUDA_ERROR_SYSTEM_NOT_READY"},
    Named{810, "CUDA_ERROR_MPS_CLIENT_TERMINATED"},
    Named{900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
    Named{901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
    Named{911, "CUDA_ERROR_EXTERNAL_DEVICE"},
    Named{999, "CUDA_ERROR_UNKNOWN"},
};

// cuda.h says of these that all further work fails and the process must be started again.
constexpr std::array kSticky = {214, 220, 226, 700, 702, 709, 710, 714,
                                715, 716, 717, 718, 719, 721, 810, 911};

bool Poisons(int number) { return std::ranges::find(kSticky, number) != kSticky.end(); }

void WriteReport() {
  const char* path = std::getenv("COSMOS_FAKE_CUDA_REPORT");
  if (path == nullptr || *path == '\0') return;
  if (std::FILE* file = std::fopen(path, "a")) {
    std::fprintf(file,
                 R"({"liveBytes":%zu,"pinnedBytes":%zu,"liveHandles":%d,"pending":%d})"
                 "\n",
                 fake_cuda_live_bytes(-1), fake_cuda_pinned_bytes(), fake_cuda_live_handles(),
                 fake_cuda_pending());
    std::fclose(file);
  }
}

}  // namespace

// Intentionally leaked: other libraries may still call the driver at exit.
State& TheState() {
  static State* state = [] {
    std::atexit(WriteReport);
    return new State;
  }();
  return *state;
}

Context*& Current() {
  thread_local Context* current = nullptr;
  return current;
}

bool& InHostFunction() {
  thread_local bool inside = false;
  return inside;
}

CUresult Error(int number) { return static_cast<CUresult>(number); }

std::string_view ErrorName(int number) {
  for (const Named& error : kErrors)
    if (error.number == number) return error.name;
  return {};
}

std::optional<CUresult> TakeFault(std::string_view name, Context* context) {
  const auto number = Fault(name);
  if (!number) return std::nullopt;
  if (context && Poisons(*number)) context->sticky = *number;
  return Error(*number);
}

void Misuse(const std::string& what) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  state.errors += what + "\n";
  if (std::getenv("COSMOS_FAKE_CUDA_KEEP_GOING")) return;
  std::fprintf(stderr, "fake libcuda: %s\n", what.c_str());
  std::abort();
}

bool IsDeviceMemory(CUdeviceptr address, std::size_t bytes) {
  const std::lock_guard lock(TheState().mutex);
  const auto* found = Find(address, bytes);
  return found && !found->second.pinned;
}

}  // namespace fakes

using fakes::TheState;

extern "C" {

std::size_t fake_cuda_live_bytes(int device) {
  const std::lock_guard lock(TheState().mutex);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < TheState().devices.size(); ++i)
    if (device < 0 || device == static_cast<int>(i)) bytes += TheState().devices[i]->used_bytes;
  return bytes;
}

std::size_t fake_cuda_pinned_bytes() {
  const std::lock_guard lock(TheState().mutex);
  std::size_t bytes = 0;
  for (const auto& [address, allocation] : TheState().memory)
    if (allocation.pinned) bytes += allocation.bytes;
  return bytes;
}

int fake_cuda_live_handles() {
  const std::lock_guard lock(TheState().mutex);
  int count = static_cast<int>(TheState().events.size() + TheState().handles.size());
  for (const CUstream stream : TheState().streams)
    if (!stream->destroyed && stream != stream->context->default_stream) ++count;
  return count;
}

int fake_cuda_pending() {
  const std::lock_guard lock(TheState().mutex);
  int count = 0;
  for (const CUstream stream : TheState().streams) count += static_cast<int>(stream->items.size());
  return count;
}

int fake_cuda_calls(const char* symbol) {
  const std::lock_guard lock(TheState().mutex);
  const auto found = TheState().calls.find(symbol);
  return found == TheState().calls.end() ? 0 : found->second;
}

const char* fake_cuda_errors() {
  const std::lock_guard lock(TheState().mutex);
  TheState().errors_copy = TheState().errors;
  return TheState().errors_copy.c_str();
}

void fake_cuda_reset() {
  const std::lock_guard lock(TheState().mutex);
  TheState().errors.clear();
  TheState().calls.clear();
  for (const auto& device : TheState().devices) device->sticky = 0;
}
}
