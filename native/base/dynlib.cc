#include "base/dynlib.h"

#include <dlfcn.h>

namespace cosmos {

Result<Dynlib> Dynlib::Open(const std::string& path) {
  if (!path.starts_with('/')) {
    return Status(StatusCode::kInvalidArgument, "the library path '" + path + "' is not absolute")
        .With("library", path);
  }
  // Local: its symbols must not answer for those of another copy in the process.
  void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return Status(StatusCode::kLibrary, "the library " + path + " cannot be opened: " + reason)
        .With("library", path)
        .With("reason", reason);
  }
  return Dynlib(handle);
}

void* Dynlib::FindAddress(const char* symbol) const { return dlsym(handle_, symbol); }

}  // namespace cosmos
