#include "base/dynlib.h"

#include <dlfcn.h>

namespace cosmos {

Result<Dynlib> Dynlib::Open(const std::string& path) {
  if (!path.starts_with('/')) {
    return Status(StatusCode::kInvalidArgument, "the library path '" + path + "' is not absolute")
        .With("library", path);
  }
  return Load(path);
}

Result<Dynlib> Dynlib::OpenSystem(const std::string& soname) {
  if (soname.empty() || soname.find('/') != std::string::npos) {
    return Status(StatusCode::kInvalidArgument, "the library name '" + soname + "' contains a folder")
        .With("library", soname);
  }
  return Load(soname);
}

Result<Dynlib> Dynlib::Load(const std::string& name) {
  // RTLD_LOCAL: its symbols must not resolve references to another copy of the library in the process.
  void* handle = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return Status(StatusCode::kLibrary, "the library " + name + " cannot be opened: " + reason)
        .With("library", name)
        .With("reason", reason);
  }
  return Dynlib(handle);
}

void* Dynlib::FindAddress(const char* symbol) const { return dlsym(handle_, symbol); }

Status UnusableLibrary(const std::string& library, const std::string& product, const std::string& reason) {
  return Status(StatusCode::kLibrary, library + " cannot be used as " + product + ": " + reason)
      .With("library", library)
      .With("reason", reason);
}

}  // namespace cosmos
