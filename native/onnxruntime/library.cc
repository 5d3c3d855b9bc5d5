#include "onnxruntime/library.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/dynlib.h"
#include "base/registry.h"

namespace cosmos::ort {
namespace {

constexpr std::size_t kLogLines = 20;

constexpr const char* kProduct = "ONNX Runtime";

// "1.30.0" has the API version 30. Checked before GetApi, which writes to stderr when it lacks a version.
bool HasApi(const std::string& version, unsigned wanted) {
  unsigned major = 0;
  unsigned minor = 0;
  if (std::sscanf(version.c_str(), "%u.%u", &major, &minor) != 2) return false;  // NOLINT(cert-err34-c)
  return major > 1 || (major == 1 && minor >= wanted);
}

// By default, ONNX Runtime 1.30 for Linux assigns the user an identifier, stores it with a database in their
// cache folder, and sends events to its vendor. It reads this variable when it is loaded;
// DisableTelemetryEvents, which older versions have as well, comes too late for part of that. Overwrites any
// value: embedding is no reason to send data. Called once, because setenv races with other threads that read
// the environment.
void DisableTelemetry() {
  static std::once_flag once;
  std::call_once(once, [] { setenv("ORT_DISABLE_TELEMETRY", "1", /*overwrite=*/1); });
}

}  // namespace

Result<Library*> Library::Open(const std::string& path) {
  return Registry<Library>::Global().Get(path, [&] { return Load(path); });
}

Result<std::unique_ptr<Library>> Library::Load(const std::string& path) {
  DisableTelemetry();
  COSMOS_ASSIGN_OR_RETURN(auto file, Dynlib::Open(path));
  const auto get_base = file.Find<GetApiBase>("OrtGetApiBase");
  const ApiBase* base = get_base == nullptr ? nullptr : get_base();
  if (base == nullptr) return UnusableLibrary(path, kProduct, "it does not export OrtGetApiBase");

  const std::string version = base->GetVersionString();
  const Api* api = HasApi(version, kApiVersion) ? base->GetApi(kApiVersion) : nullptr;
  if (api == nullptr) {
    return UnusableLibrary(
        path, kProduct,
        "its version is " + version + "; 1." + std::to_string(kApiVersion) + " or newer is needed");
  }

  std::unique_ptr<Library> library(new Library(path, version, *api));
  COSMOS_RETURN_IF_ERROR(library->Check(
      api->CreateEnvWithCustomLogger(Log, library.get(), LogLevel::kWarning, "cosmos-embed", &library->env_),
      StatusCode::kLibrary, "ONNX Runtime cannot start"));
  COSMOS_RETURN_IF_ERROR(library->Check(api->DisableTelemetryEvents(library->env_), StatusCode::kLibrary,
                                        "ONNX Runtime's telemetry cannot be disabled"));
  library->ShareMemory(file);
  return library;
}

// Paths to one file have one environment, and that has one allocator. Where it cannot be registered, sessions
// use ONNX Runtime's own.
void Library::ShareMemory(const Dynlib& file) {
  // Before 1.18 it does not tell weights from the tensors of a run.
  if (!HasApi(version_, kAllocatorVersion)) return;
  // An exception must come from the C++ library that catches it, and the addon may contain one of its own.
  const auto throw_bad_alloc = file.Find<void (*)()>("_ZSt17__throw_bad_allocv");
  if (throw_bad_alloc == nullptr) return;
  constexpr std::string_view kDoing = "ONNX Runtime cannot use other memory";
  const auto register_memory = [&]() -> Result<std::unique_ptr<Memory>> {
    COSMOS_ASSIGN_OR_RETURN(
        auto info, Make<MemoryInfoHandle>(StatusCode::kLibrary, kDoing, [&](MemoryInfo** out) {
          return api_.CreateCpuMemoryInfo(AllocatorKind::kDevice, MemoryKind::kDefault, out);
        }));
    auto memory = std::make_unique<Memory>(info.get(), throw_bad_alloc);
    COSMOS_RETURN_IF_ERROR(Check(api_.RegisterAllocator(env_, memory.get()), StatusCode::kLibrary, kDoing));
    std::ignore = info.release();  // which the allocator refers to, for as long as the process lives
    return memory;
  };
  const auto memory = Registry<Memory, const Env*>::Global().Get(env_, register_memory);
  if (memory.ok()) memory_ = memory.value();
}

Status Library::Check(OrtStatus* status, StatusCode code, std::string_view doing) {
  if (status == nullptr) return {};
  const std::string reason = api_.GetErrorMessage(status);
  api_.ReleaseStatus(status);
  Status failure = Status(code, std::string(doing) + ": " + reason).With("reason", reason);
  std::string log = TakeLog();
  if (log.empty()) return failure;
  return std::move(failure).With("log", std::move(log));
}

std::string Library::TakeLog() {
  const std::lock_guard lock(log_mutex_);
  std::string text;
  for (const std::string& line : std::exchange(log_, {})) text += line + "\n";
  return text;
}

void Library::Log(void* context, LogLevel /*level*/, const char* /*category*/, const char* /*id*/,
                  const char* where, const char* message) {
  auto* library = static_cast<Library*>(context);
  const std::lock_guard lock(library->log_mutex_);
  library->log_.push_back(std::string(message) + " (" + where + ")");
  if (library->log_.size() > kLogLines) library->log_.pop_front();
}

}  // namespace cosmos::ort
