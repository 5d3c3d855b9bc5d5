// A shared library opened at run time.
#pragma once

#include <string>

#include "base/status.h"

namespace cosmos {

// Never unloaded: the libraries that we open start threads and register exit handlers, whose code must stay
// mapped until the process ends.
class Dynlib {
 public:
  // `path` must be absolute, so that no search path decides which file is loaded. Fails with kLibrary and the
  // loader's reason.
  static Result<Dynlib> Open(const std::string& path);
  // Opens `soname`, a name without a folder, through the loader's search path: only the system knows where
  // the libraries of its driver are. Fails like Open.
  static Result<Dynlib> OpenSystem(const std::string& soname);

  // Returns the exported symbol as a pointer of type `Function`, or null.
  template <typename Function>
  Function Find(const char* symbol) const {
    return reinterpret_cast<Function>(FindAddress(symbol));
  }

 private:
  static Result<Dynlib> Load(const std::string& name);
  explicit Dynlib(void* handle) : handle_(handle) {}
  void* FindAddress(const char* symbol) const;

  void* handle_;
};

// The Status for a library that loads but is not a usable `product`, e.g. of an unsupported version:
// kLibrary, with the details "library" and "reason".
Status UnusableLibrary(const std::string& library, const std::string& product, const std::string& reason);

}  // namespace cosmos
