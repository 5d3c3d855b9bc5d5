// libnvinfer as a library in the process: opened once per file, and never unloaded.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "tensorrt/abi.h"
#include "tensorrt/log.h"

namespace cosmos::trt {

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  int build = 0;

  std::string text() const;  // "10.16.1.11"
  bool operator==(const Version&) const = default;
};

class Library {
 public:
  // The one of this file, for the life of the process. `path` is absolute. Needs no GPU and no driver. Fails
  // with kLibrary when the file cannot be opened, is not TensorRT, or is of a version that we do not know.
  static Result<Library*> Open(const std::string& path);

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::string& path() const { return path_; }
  const Version& version() const { return version_; }
  int major() const { return version_.major; }
  // The lean or the dispatch runtime: it cannot build plans and runs only version-compatible ones.
  bool lean() const { return lean_; }
  Log& log() { return log_; }

  // For the device that is current on this thread. The driver must have been started before: without one the
  // library returns a pointer that is neither null nor an object. Fails with kLibrary.
  Result<Handle<Runtime>> MakeRuntime();

  // Calls a method of an object that this library made.
  template <typename Object, typename Signature, typename... Args>
  auto Call(const Method<Object, Signature>& method, const Handle<Object>& object, Args... args) const {
    return method(version_.major, *object, args...);
  }

 private:
  static Result<std::unique_ptr<Library>> Load(const std::string& path);
  Library(std::string path, const Version& version, bool lean, CreateRuntime create)
      : path_(std::move(path)), version_(version), lean_(lean), create_(create) {}

  const std::string path_;
  const Version version_;
  const bool lean_;
  const CreateRuntime create_;
  Log log_;
};

}  // namespace cosmos::trt

namespace cosmos {

struct TensorRtProbe {
  std::string version;  // e.g. "10.16.1.11"
  bool lean = false;    // the lean or the dispatch runtime
};

// Opens the library and reads its version, without a GPU. Fails as Library::Open.
Result<TensorRtProbe> ProbeTensorRt(const std::string& path);

}  // namespace cosmos
