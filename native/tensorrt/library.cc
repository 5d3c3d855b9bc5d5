#include "tensorrt/library.h"

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/dynlib.h"

namespace cosmos::trt {
namespace {

// Below the first page lies no object: a null pointer that was converted to a base class.
constexpr std::uintptr_t kPage = 4096;

// The libraries by path. Never freed: their threads may outlive every static of ours.
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Library>> libraries;
};

Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

Status Unusable(const std::string& path, const std::string& reason) {
  return Status(StatusCode::kLibrary, path + " cannot be used as TensorRT: " + reason)
      .With("library", path)
      .With("reason", reason);
}

bool IsKnown(const Version& version) {
  return (version.major == 10 && version.minor >= kOldestMinor10) ||
         (version.major == 11 && version.minor >= kOldestMinor11);
}

}  // namespace

std::string Version::text() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch) + "." +
         std::to_string(build);
}

Result<Library*> Library::Open(const std::string& path) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (const auto found = registry.libraries.find(path); found != registry.libraries.end()) {
    return found->second.get();
  }

  Result<Dynlib> file = Dynlib::Open(path);
  if (!file.ok()) return file.TakeStatus();
  Version version;
  for (const auto& [symbol, number] : {std::pair{"getInferLibMajorVersion", &version.major},
                                       {"getInferLibMinorVersion", &version.minor},
                                       {"getInferLibPatchVersion", &version.patch},
                                       {"getInferLibBuildVersion", &version.build}}) {
    const auto get = file->Find<GetVersion>(symbol);
    if (get == nullptr) {
      return Unusable(path, std::string("it does not export ") + symbol + "; TensorRT 10 and 11 do");
    }
    *number = get();
  }
  if (!IsKnown(version)) {
    return Unusable(path, "its version is " + version.text() + "; any 10.x or 11.x is supported")
        .With("version", version.text());
  }
  const auto create = file->Find<CreateRuntime>("createInferRuntime_INTERNAL");
  if (create == nullptr) return Unusable(path, "it does not export createInferRuntime_INTERNAL");
  const bool lean = file->Find<void*>("createInferBuilder_INTERNAL") == nullptr;
  std::unique_ptr<Library> library(new Library(path, version, lean, create));
  return registry.libraries.emplace(path, std::move(library)).first->second.get();
}

Result<Handle<Runtime>> Library::MakeRuntime() {
  const LogScope scope(log_);
  void* runtime =
      create_(log_.logger(major()), version_.major * 10000 + version_.minor * 100 + version_.patch);
  if (reinterpret_cast<std::uintptr_t>(runtime) < kPage || scope.error()) {
    return scope.Failure(StatusCode::kLibrary, path_ + " does not start").With("library", path_);
  }
  return Handle<Runtime>(static_cast<Runtime*>(runtime));
}

}  // namespace cosmos::trt

namespace cosmos {

Result<TensorRtProbe> ProbeTensorRt(const std::string& path) {
  const auto library = trt::Library::Open(path);
  if (!library.ok()) return library.status();
  return TensorRtProbe{library.value()->version().text(), library.value()->lean()};
}

}  // namespace cosmos
