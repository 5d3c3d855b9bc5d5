#include "media/nvdec/nvcuvid.h"

#include <memory>
#include <utility>

#include "base/dynlib.h"
#include "base/registry.h"

namespace cosmos {
namespace {

constexpr const char* kSoname = "libnvcuvid.so.1";

Status UnusableDecoder(const std::string& library, const std::string& reason) {
  return UnusableLibrary(
      library, "NVIDIA's video decoder",
      reason +
          ". It comes with the driver; a container has it when NVIDIA_DRIVER_CAPABILITIES holds "
          "'video', e.g. NVIDIA_DRIVER_CAPABILITIES=compute,utility,video");
}

std::string ReasonOf(const Status& status) {
  for (const auto& [key, value] : status.details()) {
    if (key == "reason") return std::get<std::string>(value);
  }
  return status.message();
}

}  // namespace

Result<const Nvcuvid*> Nvcuvid::Open(const std::string& path) {
  auto opened = Registry<Nvcuvid>::Global().Get(path, [&] { return Load(path); });
  if (!opened.ok()) return opened.TakeStatus();
  return opened.value();
}

Result<std::unique_ptr<Nvcuvid>> Nvcuvid::Load(const std::string& path) {
  const std::string library = path.empty() ? kSoname : path;
  Result<Dynlib> file = path.empty() ? Dynlib::OpenSystem(kSoname) : Dynlib::Open(path);
  if (!file.ok()) {
    if (file.status().code() != StatusCode::kLibrary) return file.TakeStatus();
    return UnusableDecoder(library, ReasonOf(file.status()));
  }
  NvcuvidApi api;
  const char* missing = nullptr;
#define COSMOS_NVCUVID_RESOLVE(name, symbol, type)                        \
  api.name = file.operator->()->Find<decltype(NvcuvidApi::name)>(symbol); \
  if (api.name == nullptr && !missing) missing = symbol;
  COSMOS_NVCUVID_FUNCTIONS(COSMOS_NVCUVID_RESOLVE)
#undef COSMOS_NVCUVID_RESOLVE
  if (missing) return UnusableDecoder(library, std::string("it does not export ") + missing);
  return std::unique_ptr<Nvcuvid>(new Nvcuvid(library, api));
}

}  // namespace cosmos
