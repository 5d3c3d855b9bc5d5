#include "media/nvcuvid.h"

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/dynlib.h"

namespace cosmos {
namespace {

constexpr const char* kSoname = "libnvcuvid.so.1";

// By the name that they were opened by. Never freed, as the driver is not.
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Nvcuvid>> libraries;
};

Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

Status Unusable(const std::string& library, const std::string& reason) {
  return Status(StatusCode::kLibrary,
                library + " cannot be used as NVIDIA's video decoder: " + reason +
                    ". It comes with the driver; a container has it when NVIDIA_DRIVER_CAPABILITIES holds "
                    "'video', e.g. NVIDIA_DRIVER_CAPABILITIES=compute,utility,video")
      .With("library", library)
      .With("reason", reason);
}

std::string ReasonOf(const Status& status) {
  for (const auto& [key, value] : status.details()) {
    if (key == "reason") return std::get<std::string>(value);
  }
  return status.message();
}

}  // namespace

Result<const Nvcuvid*> Nvcuvid::Open(const std::string& path) {
  const std::string library = path.empty() ? kSoname : path;
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (const auto found = registry.libraries.find(library); found != registry.libraries.end())
    return found->second.get();

  Result<Dynlib> file = path.empty() ? Dynlib::OpenSystem(kSoname) : Dynlib::Open(path);
  if (!file.ok()) {
    if (file.status().code() != StatusCode::kLibrary) return file.TakeStatus();
    return Unusable(library, ReasonOf(file.status()));
  }
  NvcuvidApi api;
  const char* missing = nullptr;
#define COSMOS_NVCUVID_RESOLVE(name, symbol, type)                        \
  api.name = file.operator->()->Find<decltype(NvcuvidApi::name)>(symbol); \
  if (api.name == nullptr && !missing) missing = symbol;
  COSMOS_NVCUVID_FUNCTIONS(COSMOS_NVCUVID_RESOLVE)
#undef COSMOS_NVCUVID_RESOLVE
  if (missing) return Unusable(library, std::string("it does not export ") + missing);
  std::unique_ptr<Nvcuvid>& opened = registry.libraries[library];
  opened.reset(new Nvcuvid(library, api));
  return opened.get();
}

}  // namespace cosmos
