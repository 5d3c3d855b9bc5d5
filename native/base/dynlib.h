// A shared library opened at run time.
#pragma once

#include <string>

#include "base/status.h"

namespace cosmos {

// The file stays mapped for the life of the process: the libraries that we open start threads and register
// exit handlers, which must never find their code gone.
class Dynlib {
 public:
  // `path` is absolute, so that no search path decides which file runs. Fails with kLibrary and the loader's
  // reason.
  static Result<Dynlib> Open(const std::string& path);
  // `soname` without a folder: the system's loader decides which file it is, as it must for the libraries of
  // a driver. Fails as Open.
  static Result<Dynlib> OpenSystem(const std::string& soname);

  // The address of an exported function as a pointer of type `Function`, or null.
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

// The Status of a file that is a library, but not the one that it was opened as. kLibrary, with the details
// "library" and "reason".
Status UnusableLibrary(const std::string& library, const std::string& product, const std::string& reason);

}  // namespace cosmos
