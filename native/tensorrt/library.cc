#include "tensorrt/library.h"

#include <memory>
#include <utility>

#include "base/dynlib.h"
#include "base/registry.h"

namespace cosmos::trt {
namespace {

// A pointer into the first page is a null pointer that was converted to a base class.
constexpr std::uintptr_t kPage = 4096;

constexpr const char* kProduct = "TensorRT";

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
  return Registry<Library>::Global().Get(path, [&] { return Load(path); });
}

Result<std::unique_ptr<Library>> Library::Load(const std::string& path) {
  COSMOS_ASSIGN_OR_RETURN(auto file, Dynlib::Open(path));
  Version version;
  for (const auto& [symbol, number] : {std::pair{"getInferLibMajorVersion", &version.major},
                                       {"getInferLibMinorVersion", &version.minor},
                                       {"getInferLibPatchVersion", &version.patch},
                                       {"getInferLibBuildVersion", &version.build}}) {
    const auto get = file.Find<GetVersion>(symbol);
    if (get == nullptr) {
      return UnusableLibrary(path, kProduct,
                             std::string("it does not export ") + symbol + "; TensorRT 10 and 11 do");
    }
    *number = get();
  }
  if (!IsKnown(version)) {
    return UnusableLibrary(path, kProduct,
                           "its version is " + version.text() + "; 10.1 and newer and 11.x are supported")
        .With("version", version.text());
  }
  const auto create = file.Find<CreateRuntime>("createInferRuntime_INTERNAL");
  if (create == nullptr)
    return UnusableLibrary(path, kProduct, "it does not export createInferRuntime_INTERNAL");
  const bool lean = file.Find<void*>("createInferBuilder_INTERNAL") == nullptr;
  return std::unique_ptr<Library>(new Library(path, version, lean, create));
}

Result<Handle<Runtime>> Library::MakeRuntime() {
  const LogScope scope(log_);
  void* runtime =
      create_(log_.logger(major()), version_.major * 10000 + version_.minor * 100 + version_.patch);
  if (reinterpret_cast<std::uintptr_t>(runtime) < kPage || scope.error()) {
    return scope.Failure(StatusCode::kLibrary, path_ + " cannot create a runtime").With("library", path_);
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
