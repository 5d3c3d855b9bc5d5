// The part of TensorRT's C++ ABI that we call, for both majors. No package ships NvInfer.h and the vtables of
// the majors differ, so one binary for both needs its own tables; within a major they only grow.
// scripts/check-tensorrt-abi.mjs compares every line of this file with NVIDIA's headers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

struct CUstream_st;

namespace cosmos::trt {

// The oldest headers that the check passes for.
inline constexpr int kOldestMinor10 = 1;
inline constexpr int kOldestMinor11 = 0;

// NVIDIA's objects hold a vptr, whose first two slots are the destructors, then a pointer to an
// implementation, whose vtable has the methods.
struct Runtime;
struct CudaEngine;
struct ExecutionContext;

struct Dims {
  std::int32_t rank = 0;
  std::array<std::int64_t, 8> d{};
};

// clang-format off
enum class DataType : std::int32_t {
  kFloat = 0, kHalf = 1, kInt8 = 2, kInt32 = 3, kBool = 4, kUint8 = 5, kBf16 = 7, kInt64 = 8
};
enum class IoMode : std::int32_t { kNone = 0, kInput = 1, kOutput = 2 };
enum class Location : std::int32_t { kDevice = 0, kHost = 1 };
enum class Selector : std::int32_t { kMin = 0, kOpt = 1, kMax = 2 };
enum class Allocation : std::int32_t { kUserManaged = 2 };
enum class Severity : std::int32_t { kInternalError = 0, kError = 1, kWarning = 2, kInfo = 3, kVerbose = 4 };
enum class ApiLanguage : std::int32_t { kCpp = 0 };

// Class, method, slot in 10, slot in 11, signature.
#define COSMOS_TRT_METHODS(M)                                                                \
  M(Runtime, deserializeCudaEngine, 3, 3, CudaEngine*(const void*, std::size_t))             \
  M(Runtime, setEngineHostCodeAllowed, 21, 20, void(bool))                                   \
  M(CudaEngine, createExecutionContext, 5, 5, ExecutionContext*(Allocation))                 \
  M(CudaEngine, getNbOptimizationProfiles, 10, 8, std::int32_t())                            \
  M(CudaEngine, getTensorShape, 19, 15, Dims(const char*))                                   \
  M(CudaEngine, getTensorDataType, 20, 16, DataType(const char*))                            \
  M(CudaEngine, getTensorLocation, 21, 17, Location(const char*))                            \
  M(CudaEngine, isShapeInferenceIO, 22, 18, bool(const char*))                               \
  M(CudaEngine, getTensorIOMode, 23, 19, IoMode(const char*))                                \
  M(CudaEngine, getProfileShape, 29, 25, Dims(const char*, std::int32_t, Selector))          \
  M(CudaEngine, getNbIOTensors, 30, 26, std::int32_t())                                      \
  M(CudaEngine, getIOTensorName, 31, 27, const char*(std::int32_t))                          \
  M(CudaEngine, getDeviceMemorySizeForProfileV2, 53, 45, std::int64_t(std::int32_t))         \
  M(ExecutionContext, setOptimizationProfileAsync, 17, 16, bool(std::int32_t, CUstream_st*)) \
  M(ExecutionContext, setInputShape, 21, 20, bool(const char*, const Dims&))                 \
  M(ExecutionContext, getTensorShape, 22, 21, Dims(const char*))                             \
  M(ExecutionContext, setTensorAddress, 24, 23, bool(const char*, void*))                    \
  M(ExecutionContext, getMaxOutputSize, 34, 33, std::int64_t(const char*))                   \
  M(ExecutionContext, enqueueV3, 37, 36, bool(CUstream_st*))                                 \
  M(ExecutionContext, setDeviceMemoryV2, 49, 48, void(void*, std::int64_t))
// clang-format on

template <typename Object, typename Signature>
class Method;

template <typename Object, typename Return, typename... Args>
class Method<Object, Return(Args...)> {
 public:
  constexpr Method(int slot10, int slot11) : slot10_(slot10), slot11_(slot11) {}

  // Calling a method as a function that takes `this` works for large structs too: they are returned through a
  // hidden pointer, which precedes `this` of a member as it precedes the first argument of a function.
  Return operator()(int major, Object& object, std::type_identity_t<Args>... args) const {
    using Function = Return (*)(void*, Args...);
    void* implementation = reinterpret_cast<void**>(&object)[1];
    void* const* table = *static_cast<void* const**>(implementation);
    return reinterpret_cast<Function>(table[major == 10 ? slot10_ : slot11_])(implementation, args...);
  }

 private:
  int slot10_;
  int slot11_;
};

// The methods, e.g. `Runtime_deserializeCudaEngine(major, runtime, blob, size)`.
// NOLINTBEGIN(readability-identifier-naming): NVIDIA's names
#define COSMOS_TRT_METHOD(Class, name, slot10, slot11, ...) \
  inline constexpr Method<Class, __VA_ARGS__> Class##_##name{slot10, slot11};
COSMOS_TRT_METHODS(COSMOS_TRT_METHOD)
#undef COSMOS_TRT_METHOD
// NOLINTEND(readability-identifier-naming)

// `delete object`, the same for all classes and both majors.
struct Delete {
  template <typename Object>
  void operator()(Object* object) const {
    using Function = void (*)(void*);
    void* const* table = *reinterpret_cast<void* const**>(object);
    reinterpret_cast<Function>(table[1])(object);
  }
};
template <typename Object>
using Handle = std::unique_ptr<Object, Delete>;

// Functions that the library exports.
using CreateRuntime = void* (*)(void* logger, std::int32_t version);
using GetVersion = std::int32_t (*)();

// The logger that the library calls, from any of its threads. Each major has its own class; the compiler lays
// out the vtable as it would for a class derived from NVIDIA's.
class Logger10 {
 public:
  virtual void Write(Severity severity, const char* text) noexcept = 0;
  virtual ~Logger10() = default;
};

struct InterfaceInfo {
  const char* kind;
  std::int32_t major;
  std::int32_t minor;
};

class Logger11 {
 public:
  virtual ApiLanguage GetApiLanguage() const noexcept { return ApiLanguage::kCpp; }
  virtual InterfaceInfo GetInterfaceInfo() const noexcept { return {"ILogger", 1, 0}; }
  virtual ~Logger11() = default;
  virtual void Write(Severity severity, const char* text) noexcept = 0;
};

}  // namespace cosmos::trt
