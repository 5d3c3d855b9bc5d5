// The runtime and the engine.
#include "fake_nvinfer.h"

namespace fakes {
namespace {

using nvinfer1::DataType;
using Severity = nvinfer1::ILogger::Severity;

// What TensorRT logs before deserializeCudaEngine returns null, by the number of the fault.
constexpr const char* kDeserializeErrors[] = {
    "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion stdVersionRead == "
    "serializationVersion failed.Version tag does not match. Note: Current Version: 213, Serialized Engine "
    "Version: 205)",
    "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion magicTagRead == "
    "kMAGIC_TAG failed.Magic tag does not match)",
    "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is generated on an "
    "incompatible device, expecting compute 9.0 got compute 8.0, please rebuild.)",
    "Error Code 1: Myelin ([::0] Compiled assuming that device 0 was SM 75, but device 0 is SM 86.)",
    "[leanStubs.cpp::loadRunner::25] Error Code 4: Internal Error (Unexpected call to stub)",
    "[virtualMemoryBuffer.cpp::resizePhysical::154] Error Code 2: OutOfMemory (Requested size was 4294967296 "
    "bytes.)",
    nullptr,  // logs nothing
    "Target GPU SM 120 is not supported by this TensorRT release.",
    "[engine.cpp::init::9] Error Code 9: something new at 0x7f3a12345678 in /home/builder/engine.cpp:9",
    "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is not compatible "
    "with "
    "this version of TensorRT, expecting library version 10.12.0.36 got 10.9.0.34, please rebuild.)",
};

constexpr std::pair<const char*, DataType> kTypes[] = {
    {"float32", DataType::kFLOAT}, {"float16", DataType::kHALF}, {"int32", DataType::kINT32},
    {"bool", DataType::kBOOL},     {"uint8", DataType::kUINT8},  {"int64", DataType::kINT64},
};

// The compute capability of the current device, or "" if there is none.
std::string Capability() {
  CUcontext current = nullptr;
  int devices = 0;
  cuCtxGetCurrent(&current);
  cuDeviceGetCount(&devices);
  for (CUdevice device = 0; device < devices; ++device) {
    CUcontext context = nullptr;
    int major = 0;
    int minor = 0;
    cuDevicePrimaryCtxRetain(&context, device);
    cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    if (context == current) return std::to_string(major) + "." + std::to_string(minor);
  }
  return "";
}

}  // namespace

nvinfer1::Dims ToDims(const Shape& shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = shape[i];
  return dims;
}

std::int64_t BytesOf(const std::string& type) {
  if (type == "int64") return 8;
  if (type == "float16") return 2;
  return type == "uint8" || type == "bool" ? 1 : 4;
}

std::size_t Model::profile_count() const {
  return plan.profiles.empty() ? 1 : plan.profiles.begin()->second.size();
}

std::int64_t Model::memory_bytes(int profile) const {
  if (profile < 0 || profile >= static_cast<int>(profile_count())) return 0;
  return 1024 * (plan.profiles.empty() ? 1 : plan.profiles.begin()->second[profile].max.at(0));
}

bool Model::dynamic() const {
  for (const PlanTensor& tensor : plan.tensors)
    for (const std::int64_t size : tensor.shape)
      if (tensor.input && size < 0) return true;
  return false;
}

bool Model::OnDevice(const char* method) const {
  CUcontext current = nullptr;
  cuCtxGetCurrent(&current);
  if (current == device) return true;
  Error(std::string(method) + ": called on a thread with another device, or none");
  return false;
}

void Model::Error(const std::string& text) const { logger->log(Severity::kERROR, text.c_str()); }

Runtime::Runtime(nvinfer1::ILogger& logger) : logger_(logger) {
  mImpl = this;
  Trace("runtime");
}

Runtime::~Runtime() noexcept { Trace("~runtime"); }

nvinfer1::ICudaEngine* Runtime::deserializeCudaEngine(const void* blob, std::size_t size) noexcept {
  auto model = std::make_shared<Model>();
  model->logger = &logger_;
  cuCtxGetCurrent(&model->device);
  const auto fail = [&](int number) -> nvinfer1::ICudaEngine* {
    if (const char* text = kDeserializeErrors[number - 1]) model->Error(text);
    return nullptr;
  };
  if (const auto fault = Fault("deserializeCudaEngine")) return fail(*fault);
  if (model->device == nullptr) return fail(7);
  std::array<std::uint8_t, 4> version{};
  const auto numbers = LibraryVersion();
  for (std::size_t i = 0; i < version.size(); ++i) version[i] = static_cast<std::uint8_t>(numbers[i]);
  const auto plan = ParsePlan(blob, size, version);
  if (!plan) return fail(1);
  if (plan->tensors.empty()) return fail(2);
  if (!plan->gpu.empty() && plan->gpu != Capability()) return fail(3);
  if (plan->host_code && !host_code_) {
    model->Error("Error Code 3: API Usage Error (the plan has host code, which is not allowed)");
    return nullptr;
  }
  model->plan = *plan;
  return new CudaEngine(std::move(model));
}

CudaEngine::CudaEngine(std::shared_ptr<Model> model) : model_(std::move(model)) {
  mImpl = this;
  Trace("engine");
}

CudaEngine::~CudaEngine() noexcept { Trace("~engine"); }

nvinfer1::IExecutionContext* CudaEngine::createExecutionContext(
    nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept {
  const auto fault = Fault("createExecutionContext");
  if (fault == 1) model_->Error(kDeserializeErrors[5]);
  if (fault || !model_->OnDevice("createExecutionContext")) return nullptr;
  return new ExecutionContext(model_,
                              strategy == nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
}

std::int32_t CudaEngine::getNbOptimizationProfiles() const noexcept {
  return static_cast<std::int32_t>(model_->profile_count());
}

nvinfer1::Dims CudaEngine::getTensorShape(const char* name) const noexcept {
  const PlanTensor* tensor = model_->plan.Find(name);
  if (tensor != nullptr) return ToDims(tensor->shape);
  nvinfer1::Dims none{};
  none.nbDims = -1;
  return none;
}

DataType CudaEngine::getTensorDataType(const char* name) const noexcept {
  for (const auto& [text, type] : kTypes)
    if (model_->plan.Find(name)->type == text) return type;
  return DataType::kINT8;
}

nvinfer1::TensorLocation CudaEngine::getTensorLocation(const char* name) const noexcept {
  return model_->plan.Find(name)->type == "bool" ? nvinfer1::TensorLocation::kHOST
                                                 : nvinfer1::TensorLocation::kDEVICE;
}

bool CudaEngine::isShapeInferenceIO(const char*) const noexcept { return false; }

nvinfer1::TensorIOMode CudaEngine::getTensorIOMode(const char* name) const noexcept {
  const PlanTensor* tensor = model_->plan.Find(name);
  if (tensor == nullptr) return nvinfer1::TensorIOMode::kNONE;
  return tensor->input ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
}

nvinfer1::Dims CudaEngine::getProfileShape(const char* name, std::int32_t profile,
                                           nvinfer1::OptProfileSelector select) const noexcept {
  const auto found = model_->plan.profiles.find(name);
  if (found == model_->plan.profiles.end()) return getTensorShape(name);  // its shape is fixed
  const Profile& shapes = found->second.at(profile);
  if (select == nvinfer1::OptProfileSelector::kMIN) return ToDims(shapes.min);
  return ToDims(select == nvinfer1::OptProfileSelector::kMAX ? shapes.max : shapes.opt);
}

std::int32_t CudaEngine::getNbIOTensors() const noexcept {
  return static_cast<std::int32_t>(model_->plan.tensors.size());
}

const char* CudaEngine::getIOTensorName(std::int32_t index) const noexcept {
  return model_->plan.tensors.at(index).name.c_str();
}

std::int64_t CudaEngine::getDeviceMemorySizeForProfileV2(std::int32_t profile) const noexcept {
  return model_->memory_bytes(profile);
}

}  // namespace fakes
