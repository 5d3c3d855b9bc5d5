#include "cuda/driver.h"

#include <memory>
#include <utility>

#include "base/dynlib.h"
#include "base/registry.h"

namespace cosmos::cuda {
namespace {

constexpr const char* kSoname = "libcuda.so.1";
constexpr auto kOutOfMemoryError = static_cast<CUresult>(2);

Result<Api> Resolve(const Dynlib& file, const std::string& library) {
  Api api;
  const char* missing = nullptr;
#define COSMOS_CUDA_RESOLVE(name, symbol, parameters) \
  api.name = file.Find<decltype(Api::name)>(symbol);  \
  if (api.name == nullptr && !missing) missing = symbol;
  COSMOS_CUDA_FUNCTIONS(COSMOS_CUDA_RESOLVE)
#undef COSMOS_CUDA_RESOLVE
  if (missing) {
    return UnusableLibrary(
        library, "the CUDA driver",
        std::string("it does not export ") + missing + "; a driver for CUDA 11.4 or newer does");
  }
  return api;
}

}  // namespace

bool IsSticky(CUresult result) {
  switch (static_cast<int>(result)) {
    case 4:    // DEINITIALIZED
    case 214:  // ECC_UNCORRECTABLE
    case 220:  // NVLINK_UNCORRECTABLE
    case 226:  // CONTAINED
    case 700:  // ILLEGAL_ADDRESS
    case 702:  // LAUNCH_TIMEOUT
    case 709:  // CONTEXT_IS_DESTROYED
    case 710:  // ASSERT
    case 714:  // HARDWARE_STACK_ERROR
    case 715:  // ILLEGAL_INSTRUCTION
    case 716:  // MISALIGNED_ADDRESS
    case 717:  // INVALID_ADDRESS_SPACE
    case 718:  // INVALID_PC
    case 719:  // LAUNCH_FAILED
    case 721:  // TENSOR_MEMORY_LEAK
    case 810:  // MPS_CLIENT_TERMINATED
    case 911:  // EXTERNAL_DEVICE
      return true;
    default: return false;
  }
}

Result<Driver*> Driver::Open(const std::string& path) {
  return Registry<Driver>::Global().Get(path, [&] { return Load(path); });
}

Result<std::unique_ptr<Driver>> Driver::Load(const std::string& path) {
  const std::string library = path.empty() ? kSoname : path;
  COSMOS_ASSIGN_OR_RETURN(auto file, path.empty() ? Dynlib::OpenSystem(kSoname) : Dynlib::Open(path));
  COSMOS_ASSIGN_OR_RETURN(auto api, Resolve(file, library));
  std::unique_ptr<Driver> driver(new Driver(library, api));
  COSMOS_RETURN_IF_ERROR(driver->Start());
  return driver;
}

Status Driver::Start() {
  COSMOS_RETURN_IF_ERROR(Check(api_.Init(0), library_ + " cannot be initialised", StatusCode::kLibrary));
  COSMOS_RETURN_IF_ERROR(Check(api_.DriverGetVersion(&version_), library_ + " does not report its version",
                               StatusCode::kLibrary));
  return Check(api_.DeviceGetCount(&device_count_), library_ + " does not report its device count",
               StatusCode::kLibrary);
}

std::string Driver::version_text() const {
  return std::to_string(version_ / 1000) + "." + std::to_string(version_ % 1000 / 10);
}

Status Driver::Check(CUresult result, std::string_view doing, StatusCode code) const {
  if (result == CUDA_SUCCESS) return {};
  const char* name = nullptr;
  const char* text = nullptr;
  if (api_.GetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) name = "an unknown CUDA error";
  if (api_.GetErrorString(result, &text) != CUDA_SUCCESS || text == nullptr) text = "no description";
  if (result == kOutOfMemoryError) code = StatusCode::kOutOfMemory;
  if (IsSticky(result)) code = StatusCode::kDeviceLost;
  const std::string reason = std::string(name) + " (" + text + ")";
  return Status(code, std::string(doing) + ": " + reason)
      .With("reason", reason)
      .With("cuda", static_cast<double>(result));
}

}  // namespace cosmos::cuda
