// The ONNX Runtime library: opened once per file and process, its errors and log turned into Status.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/dynlib.h"
#include "base/status.h"
#include "onnxruntime/abi.h"
#include "onnxruntime/memory.h"

namespace cosmos::ort {

// Owns an object that the library allocated: `Handle<Session, &Api::ReleaseSession>`.
template <auto release>
struct Release {
  const Api* api = nullptr;
  template <typename T>
  void operator()(T* object) const {
    (api->*release)(object);
  }
};
template <typename T, auto release>
using Handle = std::unique_ptr<T, Release<release>>;

using SessionHandle = Handle<Session, &Api::ReleaseSession>;
using SessionOptionsHandle = Handle<SessionOptions, &Api::ReleaseSessionOptions>;
using RunOptionsHandle = Handle<RunOptions, &Api::ReleaseRunOptions>;
using ValueHandle = Handle<Value, &Api::ReleaseValue>;
using MemoryInfoHandle = Handle<MemoryInfo, &Api::ReleaseMemoryInfo>;
using TypeInfoHandle = Handle<TypeInfo, &Api::ReleaseTypeInfo>;
using TensorInfoHandle = Handle<TensorInfo, &Api::ReleaseTensorInfo>;

class Library {
 public:
  // Returns the library of this file, which stays open for the life of the process. `path` must be absolute.
  // Fails with kLibrary when the file cannot be opened, is not ONNX Runtime, or is older than 1.17.
  static Result<Library*> Open(const std::string& path);

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const Api& api() const { return api_; }
  const Env* env() const { return env_; }
  const std::string& path() const { return path_; }
  const std::string& version() const { return version_; }
  // What sessions with "session.use_env_allocators" take their memory from. Null where the library cannot use
  // it.
  Memory* memory() { return memory_; }
  std::string_view build_info() const { return api_.GetBuildInfoString(); }

  // Consumes the result of a call. A failure becomes "<doing>: <the library's reason>", with the lines logged
  // since the last failure as the detail "log"; none of them reach stderr.
  Status Check(OrtStatus* status, StatusCode code, std::string_view doing);

  // Calls `create(T**)` and wraps the object that it creates. A failure for want of memory is kOutOfMemory.
  template <typename HandleType, typename Create>
  Result<HandleType> Make(StatusCode code, std::string_view doing, Create create) {
    typename HandleType::pointer object = nullptr;
    const auto failures = [&] { return memory_ ? memory_->failures() : 0; };
    const std::uint64_t before = failures();
    OrtStatus* const status = create(&object);
    COSMOS_RETURN_IF_ERROR(Check(status, failures() == before ? code : StatusCode::kOutOfMemory, doing));
    return HandleType(object, {&api_});
  }

 private:
  static Result<std::unique_ptr<Library>> Load(const std::string& path);
  Library(std::string path, std::string version, const Api& api)
      : path_(std::move(path)), version_(std::move(version)), api_(api) {}
  void ShareMemory(const Dynlib& file);
  static void Log(void* context, LogLevel level, const char* category, const char* id, const char* where,
                  const char* message);
  std::string TakeLog();

  const std::string path_;
  const std::string version_;
  const Api& api_;
  Env* env_ = nullptr;
  Memory* memory_ = nullptr;
  std::mutex log_mutex_;
  std::deque<std::string> log_;
};

}  // namespace cosmos::ort
