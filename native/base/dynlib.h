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

  // The address of an exported function as a pointer of type `Function`, or null.
  template <typename Function>
  Function Find(const char* symbol) const {
    return reinterpret_cast<Function>(FindAddress(symbol));
  }

 private:
  explicit Dynlib(void* handle) : handle_(handle) {}
  void* FindAddress(const char* symbol) const;

  void* handle_;
};

}  // namespace cosmos
