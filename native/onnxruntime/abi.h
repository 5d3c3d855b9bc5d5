// The part of ONNX Runtime's C API that we call, as a table of function pointers.
//
// Declared here because no package ships the header beside the library. The table is append-only: version 17,
// which we request, is a prefix of every later one. The slots are asserted below, and the tests call each of
// them in a real library.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/graph.h"

namespace cosmos::ort {

inline constexpr std::uint32_t kApiVersion = 17;  // ONNX Runtime 1.17, January 2024

// Opaque, as they are to every user of the C API.
struct OrtStatus;
struct Env;
struct Session;
struct SessionOptions;
struct RunOptions;
struct Value;
struct MemoryInfo;
struct TypeInfo;
struct TensorInfo;

enum class LogLevel : int { kVerbose, kInfo, kWarning, kError, kFatal };
enum class Optimization : int { kNone = 0, kAll = 99 };
enum class AllocatorKind : int { kDevice = 0, kArena = 1 };
enum class MemoryKind : int { kDefault = 0 };

using LogFunction = void (*)(void* context, LogLevel level, const char* category, const char* id,
                             const char* where, const char* message);

// Of version 18, the first with Reserve, through which weights are allocated. Older libraries call Alloc for
// them.
inline constexpr std::uint32_t kAllocatorVersion = 18;
struct Allocator {
  std::uint32_t version;
  void* (*Alloc)(Allocator*, std::size_t);
  void (*Free)(Allocator*, void*);
  const MemoryInfo* (*Info)(const Allocator*);
  void* (*Reserve)(Allocator*, std::size_t);
};

template <int count>
using Unused = std::array<void*, count>;

struct Api {
  Unused<2> slot_0;
  const char* (*GetErrorMessage)(const OrtStatus*);
  Unused<1> slot_3;
  OrtStatus* (*CreateEnvWithCustomLogger)(LogFunction, void* context, LogLevel, const char* id, Env**);
  Unused<1> slot_5;
  OrtStatus* (*DisableTelemetryEvents)(const Env*);
  OrtStatus* (*CreateSession)(const Env*, const char* path, const SessionOptions*, Session**);
  Unused<1> slot_8;
  OrtStatus* (*Run)(Session*, const RunOptions*, const char* const* input_names, const Value* const* inputs,
                    std::size_t input_count, const char* const* output_names, std::size_t output_count,
                    Value** outputs);
  OrtStatus* (*CreateSessionOptions)(SessionOptions**);
  Unused<5> slot_11;
  OrtStatus* (*EnableMemPattern)(SessionOptions*);
  OrtStatus* (*DisableMemPattern)(SessionOptions*);
  OrtStatus* (*EnableCpuMemArena)(SessionOptions*);
  OrtStatus* (*DisableCpuMemArena)(SessionOptions*);
  Unused<3> slot_20;
  OrtStatus* (*SetSessionGraphOptimizationLevel)(SessionOptions*, Optimization);
  OrtStatus* (*SetIntraOpNumThreads)(SessionOptions*, int);
  Unused<5> slot_25;
  OrtStatus* (*SessionGetInputCount)(const Session*, std::size_t*);
  OrtStatus* (*SessionGetOutputCount)(const Session*, std::size_t*);
  Unused<1> slot_32;
  OrtStatus* (*SessionGetInputTypeInfo)(const Session*, std::size_t, TypeInfo**);
  OrtStatus* (*SessionGetOutputTypeInfo)(const Session*, std::size_t, TypeInfo**);
  Unused<1> slot_35;
  OrtStatus* (*SessionGetInputName)(const Session*, std::size_t, Allocator*, char**);
  OrtStatus* (*SessionGetOutputName)(const Session*, std::size_t, Allocator*, char**);
  Unused<1> slot_38;
  OrtStatus* (*CreateRunOptions)(RunOptions**);
  Unused<6> slot_40;
  OrtStatus* (*RunOptionsSetTerminate)(RunOptions*);
  Unused<2> slot_47;
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const MemoryInfo*, void* data, std::size_t bytes,
                                               const std::int64_t* dims, std::size_t rank, ElementType,
                                               Value**);
  Unused<1> slot_50;
  OrtStatus* (*GetTensorMutableData)(Value*, void**);
  Unused<3> slot_52;
  OrtStatus* (*CastTypeInfoToTensorInfo)(const TypeInfo*,
                                         const TensorInfo**);  // null for anything but a tensor
  Unused<4> slot_56;
  OrtStatus* (*GetTensorElementType)(const TensorInfo*, ElementType*);
  OrtStatus* (*GetDimensionsCount)(const TensorInfo*, std::size_t*);
  OrtStatus* (*GetDimensions)(const TensorInfo*, std::int64_t*, std::size_t);  // -1 = dynamic
  OrtStatus* (*GetSymbolicDimensions)(const TensorInfo*, const char**, std::size_t);
  Unused<1> slot_64;
  OrtStatus* (*GetTensorTypeAndShape)(const Value*, TensorInfo**);
  Unused<3> slot_66;
  OrtStatus* (*CreateCpuMemoryInfo)(AllocatorKind, MemoryKind, MemoryInfo**);
  Unused<6> slot_70;
  OrtStatus* (*AllocatorFree)(Allocator*, void*);
  Unused<1> slot_77;
  OrtStatus* (*GetAllocatorWithDefaultOptions)(Allocator**);
  Unused<13> slot_79;
  void (*ReleaseEnv)(Env*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(MemoryInfo*);
  void (*ReleaseSession)(Session*);
  void (*ReleaseValue)(Value*);
  void (*ReleaseRunOptions)(RunOptions*);
  void (*ReleaseTypeInfo)(TypeInfo*);
  void (*ReleaseTensorInfo)(TensorInfo*);
  void (*ReleaseSessionOptions)(SessionOptions*);
  Unused<29> slot_101;
  OrtStatus* (*AddSessionConfigEntry)(SessionOptions*, const char* key, const char* value);
  Unused<45> slot_131;
  OrtStatus* (*RegisterAllocator)(Env*, Allocator*);
  Unused<77> slot_177;
  const char* (*GetBuildInfoString)();
};

// What OrtGetApiBase, the library's one export, returns.
struct ApiBase {
  const Api* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};
using GetApiBase = const ApiBase* (*)();

#define COSMOS_SLOT(member, slot) static_assert(offsetof(Api, member) == (slot) * sizeof(void*))
COSMOS_SLOT(GetErrorMessage, 2);
COSMOS_SLOT(CreateEnvWithCustomLogger, 4);
COSMOS_SLOT(DisableTelemetryEvents, 6);
COSMOS_SLOT(CreateSession, 7);
COSMOS_SLOT(Run, 9);
COSMOS_SLOT(CreateSessionOptions, 10);
COSMOS_SLOT(EnableMemPattern, 16);
COSMOS_SLOT(SetSessionGraphOptimizationLevel, 23);
COSMOS_SLOT(SessionGetInputCount, 30);
COSMOS_SLOT(SessionGetInputTypeInfo, 33);
COSMOS_SLOT(SessionGetInputName, 36);
COSMOS_SLOT(CreateRunOptions, 39);
COSMOS_SLOT(RunOptionsSetTerminate, 46);
COSMOS_SLOT(CreateTensorWithDataAsOrtValue, 49);
COSMOS_SLOT(GetTensorMutableData, 51);
COSMOS_SLOT(CastTypeInfoToTensorInfo, 55);
COSMOS_SLOT(GetTensorElementType, 60);
COSMOS_SLOT(GetSymbolicDimensions, 63);
COSMOS_SLOT(GetTensorTypeAndShape, 65);
COSMOS_SLOT(CreateCpuMemoryInfo, 69);
COSMOS_SLOT(AllocatorFree, 76);
COSMOS_SLOT(GetAllocatorWithDefaultOptions, 78);
COSMOS_SLOT(ReleaseEnv, 92);
COSMOS_SLOT(ReleaseSessionOptions, 100);
COSMOS_SLOT(AddSessionConfigEntry, 130);
COSMOS_SLOT(RegisterAllocator, 176);
COSMOS_SLOT(GetBuildInfoString, 254);
#undef COSMOS_SLOT

}  // namespace cosmos::ort
