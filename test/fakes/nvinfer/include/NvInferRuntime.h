// The part of TensorRT's run-time interface that the fake implements, as declarations of our own, for the
// major NV_TENSORRT_MAJOR. scripts/check-tensorrt-abi.mjs compiles the fake against NVIDIA's headers instead,
// and compares both with native/tensorrt/abi.h.
#pragma once

#include <cstddef>
#include <cstdint>

#if NV_TENSORRT_MAJOR == 10
#define NV_TENSORRT_MINOR 16
#define NV_TENSORRT_PATCH 1
#define NV_TENSORRT_BUILD 11
#elif NV_TENSORRT_MAJOR == 11
#define NV_TENSORRT_MINOR 1
#define NV_TENSORRT_PATCH 0
#define NV_TENSORRT_BUILD 106
#else
#error "define NV_TENSORRT_MAJOR as 10 or 11"
#endif

struct CUstream_st;
using cudaStream_t = CUstream_st*;

namespace nvinfer1 {

[[noreturn]] void Unexpected(const char* method);

// A method that cosmos-embed must not call.
#define SLOT(name) \
  virtual void name##Slot() noexcept { Unexpected(#name); }
#if NV_TENSORRT_MAJOR == 10
#define SLOT10(name) SLOT(name)
#else
#define SLOT10(name)
#endif

// clang-format off
enum class DataType : std::int32_t {
  kFLOAT = 0, kHALF = 1, kINT8 = 2, kINT32 = 3, kBOOL = 4, kUINT8 = 5, kBF16 = 7, kINT64 = 8
};
enum class TensorIOMode : std::int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };
enum class TensorLocation : std::int32_t { kDEVICE = 0, kHOST = 1 };
enum class OptProfileSelector : std::int32_t { kMIN = 0, kOPT = 1, kMAX = 2 };
enum class ExecutionContextAllocationStrategy : std::int32_t { kSTATIC = 0, kON_PROFILE_CHANGE = 1, kUSER_MANAGED = 2 };
enum class APILanguage : std::int32_t { kCPP = 0, kPYTHON = 1 };
// clang-format on

class Dims64 {
 public:
  static constexpr std::int32_t MAX_DIMS{8};
  std::int32_t nbDims;
  std::int64_t d[MAX_DIMS];
};
using Dims = Dims64;

class InterfaceInfo {
 public:
  const char* kind;
  std::int32_t major;
  std::int32_t minor;
};

class ILogger {
 public:
  enum class Severity : std::int32_t {
    kINTERNAL_ERROR = 0,
    kERROR = 1,
    kWARNING = 2,
    kINFO = 3,
    kVERBOSE = 4
  };
#if NV_TENSORRT_MAJOR == 10
  virtual void log(Severity severity, const char* msg) noexcept = 0;
  virtual ~ILogger() = default;
#else
  virtual APILanguage getAPILanguage() const noexcept = 0;
  virtual InterfaceInfo getInterfaceInfo() const noexcept = 0;
  virtual ~ILogger() = default;
  virtual void log(Severity severity, const char* msg) noexcept = 0;
#endif
};

class ICudaEngine;
class IExecutionContext;

namespace apiv {

class VRoot {
 public:
  virtual ~VRoot() noexcept = default;
};

// clang-format off
class VRuntime : public VRoot {
 public:
  SLOT(getPImpl)
  virtual ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept = 0;
  SLOT10(deserializeCudaEngineFromStream)
  SLOT(setDLACore) SLOT(getDLACore) SLOT(getNbDLACores) SLOT(setGpuAllocator) SLOT(setErrorRecorder)
  SLOT(getErrorRecorder) SLOT(getLogger) SLOT(setMaxThreads) SLOT(getMaxThreads) SLOT(setTemporaryDirectory)
  SLOT(getTemporaryDirectory) SLOT(setTempfileControlFlags) SLOT(getTempfileControlFlags) SLOT(getPluginRegistry)
  SLOT(setPluginRegistryParent) SLOT(loadRuntime)
  virtual void setEngineHostCodeAllowed(bool allowed) noexcept = 0;
  SLOT(getEngineHostCodeAllowed) SLOT(deserializeCudaEngineV2)
};

class VCudaEngine : public VRoot {
 public:
  SLOT(getPImpl) SLOT(getNbLayers) SLOT(serialize)
  virtual IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept = 0;
  SLOT10(createExecutionContextWithoutDeviceMemory) SLOT10(getDeviceMemorySize)
  SLOT(isRefittable) SLOT(getName)
  virtual std::int32_t getNbOptimizationProfiles() const noexcept = 0;
  SLOT10(getProfileTensorValues)
  SLOT(getEngineCapability) SLOT(setErrorRecorder) SLOT(getErrorRecorder)
  SLOT10(hasImplicitBatchDimension)
  SLOT(getTacticSources) SLOT(getProfilingVerbosity) SLOT(createEngineInspector)
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual DataType getTensorDataType(const char* name) const noexcept = 0;
  virtual TensorLocation getTensorLocation(const char* name) const noexcept = 0;
  virtual bool isShapeInferenceIO(const char* name) const noexcept = 0;
  virtual TensorIOMode getTensorIOMode(const char* name) const noexcept = 0;
  SLOT(getTensorBytesPerComponent) SLOT(getTensorComponentsPerElement) SLOT(getTensorFormat) SLOT(getTensorFormatDesc)
  SLOT(getTensorVectorizedDim)
  virtual Dims getProfileShape(const char* name, std::int32_t profile, OptProfileSelector select) const noexcept = 0;
  virtual std::int32_t getNbIOTensors() const noexcept = 0;
  virtual const char* getIOTensorName(std::int32_t index) const noexcept = 0;
  SLOT(getHardwareCompatibilityLevel) SLOT(getNbAuxStreams)
  SLOT(getTensorBytesPerComponentV2) SLOT(getTensorComponentsPerElementV2) SLOT(getTensorFormatV2)
  SLOT(getTensorFormatDescV2) SLOT(getTensorVectorizedDimV2) SLOT(createSerializationConfig) SLOT(serializeWithConfig)
  SLOT10(getDeviceMemorySizeForProfile)
  SLOT(createRefitter)
  SLOT10(setWeightStreamingBudget) SLOT10(getWeightStreamingBudget) SLOT10(getMinimumWeightStreamingBudget)
  SLOT(getStreamableWeightsSize) SLOT(isDebugTensor) SLOT(setWeightStreamingBudgetV2) SLOT(getWeightStreamingBudgetV2)
  SLOT(getWeightStreamingAutomaticBudget) SLOT(getWeightStreamingScratchMemorySize) SLOT(getDeviceMemorySizeV2)
  virtual std::int64_t getDeviceMemorySizeForProfileV2(std::int32_t profile) const noexcept = 0;
};

class VExecutionContext : public VRoot {
 public:
  SLOT(getPImpl) SLOT(setDebugSync) SLOT(getDebugSync) SLOT(setProfiler) SLOT(getProfiler) SLOT(getEngine) SLOT(setName)
  SLOT(getName) SLOT(setDeviceMemory) SLOT(getOptimizationProfile) SLOT(allInputDimensionsSpecified)
  SLOT10(allInputShapesSpecified)
  SLOT(setErrorRecorder) SLOT(getErrorRecorder) SLOT(executeV2)
  virtual bool setOptimizationProfileAsync(std::int32_t profile, cudaStream_t stream) noexcept = 0;
  SLOT(setEnqueueEmitsProfile) SLOT(getEnqueueEmitsProfile) SLOT(reportToProfiler)
  virtual bool setInputShape(const char* name, const Dims& dims) noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  SLOT(getTensorStrides)
  virtual bool setTensorAddress(const char* name, void* data) noexcept = 0;
  SLOT(getTensorAddress) SLOT(setInputTensorAddress) SLOT(setOutputTensorAddress) SLOT(inferShapes)
  SLOT(setInputConsumedEvent) SLOT(getInputConsumedEvent) SLOT(getOutputTensorAddress) SLOT(setOutputAllocator)
  SLOT(getOutputAllocator)
  virtual std::int64_t getMaxOutputSize(const char* name) const noexcept = 0;
  SLOT(setTemporaryStorageAllocator) SLOT(getTemporaryStorageAllocator)
  virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
  SLOT(setPersistentCacheLimit) SLOT(getPersistentCacheLimit) SLOT(setNvtxVerbosity) SLOT(getNvtxVerbosity)
  SLOT(setAuxStreams) SLOT(setDebugListener) SLOT(getDebugListener) SLOT(setTensorDebugState) SLOT(getDebugState)
  SLOT(setAllTensorsDebugState) SLOT(updateDeviceMemorySizeForShapes)
  virtual void setDeviceMemoryV2(void* memory, std::int64_t size) noexcept = 0;
};
// clang-format on

}  // namespace apiv

class INoCopy {
 public:
  INoCopy(const INoCopy&) = delete;
  INoCopy& operator=(const INoCopy&) = delete;

 protected:
  INoCopy() = default;
  virtual ~INoCopy() = default;
};

class IRuntime : public INoCopy {
 public:
  virtual ~IRuntime() noexcept = default;

 protected:
  apiv::VRuntime* mImpl{};
};

class ICudaEngine : public INoCopy {
 public:
  virtual ~ICudaEngine() noexcept = default;

 protected:
  apiv::VCudaEngine* mImpl{};
};

class IExecutionContext : public INoCopy {
 public:
  virtual ~IExecutionContext() noexcept = default;

 protected:
  apiv::VExecutionContext* mImpl{};
};

#undef SLOT
#undef SLOT10

}  // namespace nvinfer1

extern "C" {
void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) noexcept;
std::int32_t getInferLibVersion() noexcept;
std::int32_t getInferLibMajorVersion() noexcept;
std::int32_t getInferLibMinorVersion() noexcept;
std::int32_t getInferLibPatchVersion() noexcept;
std::int32_t getInferLibBuildVersion() noexcept;
}
