// Internals of the fake libnvinfer, which runs the plans of plan.h on streams of the fake libcuda.
//
// Rules of the real library that it enforces: the right device is current; shapes lie in the profile;
// addresses are set and aligned; memory that the caller manages is large enough; shapes have run before they
// are captured. Contexts may share a profile. Replaying a graph after its context has changed, and two
// contexts that compute in the same memory at a time, are misuse (fake_cuda.h).
//
// Environment:
//   COSMOS_FAKE_NVINFER_VERSION  e.g. "10.9.0.34"; default 10.16.1.11 and 11.1.0.106
//   COSMOS_FAKE_FAULTS           see ../faults.h; methods by name:
//     createInferRuntime=1      returns null; 2: logs an error and returns 0x228, as without a driver
//     deserializeCudaEngine=N   logs kDeserializeErrors[N - 1] and returns null
//     createExecutionContext=1  returns null, out of memory; 2: returns null without logging
//     setOptimizationProfileAsync, setInputShape, setTensorAddress =1    return false
//     enqueueV3=1               returns false; 2: returns false, out of memory
//     enqueueV3.capture=1       returns false during a capture only; 2: returns true, but breaks the capture
//     run:enqueueV3=N           the run itself fails with the CUDA error N
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "NvInferRuntime.h"
#include "cuda/fake_cuda.h"
#include "faults.h"
#include "plan.h"
#include "stubs.h"

extern "C" {
CUresult cuCtxGetCurrent(CUcontext* context);
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device);
CUresult cuDeviceGetCount(int* count);
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device);
CUresult cuStreamSynchronize(CUstream stream);
}

namespace fakes {

std::array<int, 4> LibraryVersion();
// Adds a line to the trace of calls, which fake_nvinfer_trace() returns and clears.
void Trace(const std::string& line);
nvinfer1::Dims ToDims(const Shape& shape);
std::int64_t BytesOf(const std::string& type);

// Shared by an engine and its contexts; queued work keeps it alive after they are destroyed.
struct Model {
  Plan plan;
  nvinfer1::ILogger* logger = nullptr;
  CUcontext device = nullptr;

  std::size_t profile_count() const;
  // What a context computes in, for the largest batch of the profile.
  std::int64_t memory_bytes(int profile) const;
  bool dynamic() const;
  // Logs an error and returns false if another device, or none, is current on this thread.
  bool OnDevice(const char* method) const;
  void Error(const std::string& text) const;
};

class Runtime final : public nvinfer1::IRuntime, public RuntimeStub {
 public:
  explicit Runtime(nvinfer1::ILogger& logger);
  ~Runtime() noexcept override;
  nvinfer1::ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override;
  void setEngineHostCodeAllowed(bool allowed) noexcept override { host_code_ = allowed; }

 private:
  nvinfer1::ILogger& logger_;
  bool host_code_ = false;
};

class CudaEngine final : public nvinfer1::ICudaEngine, public CudaEngineStub {
 public:
  explicit CudaEngine(std::shared_ptr<Model> model);
  ~CudaEngine() noexcept override;
  nvinfer1::IExecutionContext* createExecutionContext(
      nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept override;
  std::int32_t getNbOptimizationProfiles() const noexcept override;
  nvinfer1::Dims getTensorShape(const char* name) const noexcept override;
  nvinfer1::DataType getTensorDataType(const char* name) const noexcept override;
  nvinfer1::TensorLocation getTensorLocation(const char* name) const noexcept override;
  bool isShapeInferenceIO(const char* name) const noexcept override;
  nvinfer1::TensorIOMode getTensorIOMode(const char* name) const noexcept override;
  nvinfer1::Dims getProfileShape(const char* name, std::int32_t profile,
                                 nvinfer1::OptProfileSelector select) const noexcept override;
  std::int32_t getNbIOTensors() const noexcept override;
  const char* getIOTensorName(std::int32_t index) const noexcept override;
  std::int64_t getDeviceMemorySizeForProfileV2(std::int32_t profile) const noexcept override;

 private:
  std::shared_ptr<Model> model_;
};

class ExecutionContext final : public nvinfer1::IExecutionContext, public ExecutionContextStub {
 public:
  // `managed`: the caller provides the memory.
  ExecutionContext(std::shared_ptr<Model> model, bool managed);
  ~ExecutionContext() noexcept override;
  bool setOptimizationProfileAsync(std::int32_t profile, CUstream stream) noexcept override;
  bool setInputShape(const char* name, const nvinfer1::Dims& dims) noexcept override;
  nvinfer1::Dims getTensorShape(const char* name) const noexcept override;
  bool setTensorAddress(const char* name, void* data) noexcept override;
  std::int64_t getMaxOutputSize(const char* name) const noexcept override;
  bool enqueueV3(CUstream stream) noexcept override;
  void setDeviceMemoryV2(void* memory, std::int64_t size) noexcept override;

 private:
  Shape ShapeOf(const PlanTensor& tensor) const;

  std::shared_ptr<Model> model_;
  const bool managed_;
  void* memory_ = nullptr;
  std::int64_t memory_bytes_ = 0;
  int profile_ = 0;
  std::map<std::string, Shape> shapes_;  // of inputs
  std::map<std::string, void*> addresses_;
  bool warm_ = false;  // has run with these shapes
  // Counts changes of shapes, addresses and profile, and the destruction. A captured graph is invalid after
  // any.
  std::shared_ptr<int> changes_ = std::make_shared<int>(0);
};

}  // namespace fakes
