// The TensorRT library (libnvinfer): opened once per file and process, never unloaded.
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
  // Returns the library of this file, which stays open for the life of the process. `path` must be absolute.
  // Needs neither GPU nor driver. Fails with kLibrary when the file cannot be opened, is not TensorRT, or has
  // an unsupported version.
  static Result<Library*> Open(const std::string& path);

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::string& path() const { return path_; }
  const Version& version() const { return version_; }
  int major() const { return version_.major; }
  // Whether this is the lean or the dispatch runtime, which cannot build plans and runs only
  // version-compatible ones.
  bool lean() const { return lean_; }
  Log& log() { return log_; }

  // Creates a runtime for the device that is current on this thread. The driver must be initialised: without
  // it the library returns a pointer that is neither null nor an object. Fails with kLibrary.
  Result<Handle<Runtime>> MakeRuntime();

  // Calls a method of an object that this library created.
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

// Opens the library and reads its version; needs no GPU. Fails like Library::Open.
Result<TensorRtProbe> ProbeTensorRt(const std::string& path);

}  // namespace cosmos
