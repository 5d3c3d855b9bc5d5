// The functions that the library exports.
#include <cstdio>
#include <mutex>

#include "fake_nvinfer.h"

namespace fakes {
namespace {

struct Record {
  std::mutex mutex;
  std::string lines;
  std::string copy;
};

// Intentionally leaked: contexts may be destroyed during exit.
Record& TheRecord() {
  static auto* record = new Record;
  return *record;
}

}  // namespace

std::array<int, 4> LibraryVersion() {
  std::array<int, 4> version = {NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH, NV_TENSORRT_BUILD};
  if (const char* setting = std::getenv("COSMOS_FAKE_NVINFER_VERSION"))
    std::sscanf(setting, "%d.%d.%d.%d", &version[0], &version[1], &version[2], &version[3]);
  return version;
}

void Trace(const std::string& line) {
  const std::lock_guard lock(TheRecord().mutex);
  TheRecord().lines += line + "\n";
}

}  // namespace fakes

namespace nvinfer1 {

void Unexpected(const char* method) {
  std::fprintf(stderr, "fake libnvinfer: %s was called, which cosmos-embed does not call\n", method);
  std::abort();
}

}  // namespace nvinfer1

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT std::int32_t getInferLibVersion() noexcept {
  const auto version = fakes::LibraryVersion();
  return version[0] * 10000 + version[1] * 100 + version[2];
}
EXPORT std::int32_t getInferLibMajorVersion() noexcept { return fakes::LibraryVersion()[0]; }
EXPORT std::int32_t getInferLibMinorVersion() noexcept { return fakes::LibraryVersion()[1]; }
EXPORT std::int32_t getInferLibPatchVersion() noexcept { return fakes::LibraryVersion()[2]; }
EXPORT std::int32_t getInferLibBuildVersion() noexcept { return fakes::LibraryVersion()[3]; }

#ifndef COSMOS_FAKE_LEAN
EXPORT void* createInferBuilder_INTERNAL(void*, std::int32_t) noexcept { return nullptr; }
#endif

EXPORT void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) noexcept {
  using Severity = nvinfer1::ILogger::Severity;
  auto& log = *static_cast<nvinfer1::ILogger*>(logger);
  const auto fault = fakes::Fault("createInferRuntime");
  int devices = 0;
  if (fault == 2 || cuDeviceGetCount(&devices) != CUDA_SUCCESS) {
    // Like the real libraries without a driver.
    log.log(
        Severity::kERROR,
        "createInferRuntime: Error Code 6: API Usage Error (CUDA initialization failure with error: 35 In "
        "checkCudaInstallation at /home/builder/optimizer/common/globWriter.cpp:100)");
    return reinterpret_cast<void*>(0x228);
  }
  if (fault) return nullptr;
  if (version != getInferLibVersion()) {
    log.log(Severity::kERROR, "createInferRuntime: Error Code 3: API Usage Error (other headers)");
    return nullptr;
  }
  log.log(Severity::kINFO, "[MemUsageChange] Init CUDA");
  return static_cast<nvinfer1::IRuntime*>(new fakes::Runtime(log));
}

// The trace since the last call.
EXPORT const char* fake_nvinfer_trace() {
  fakes::Record& record = fakes::TheRecord();
  const std::lock_guard lock(record.mutex);
  record.copy.swap(record.lines);
  record.lines.clear();
  return record.copy.c_str();
}
