// The execution context and its computation.
#include <cmath>
#include <numeric>

#include "engine/half.h"
#include "fake_nvinfer.h"

namespace fakes {
namespace {

constexpr std::uint64_t kAlignment = 256;

std::int64_t Product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::string Text(const Shape& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    if (!text.empty()) text += 'x';
    text += std::to_string(size);
  }
  return text;
}

// A tensor of one run.
struct Operand {
  PlanTensor tensor;
  Shape shape;
  void* data = nullptr;

  double At(std::int64_t index) const {
    if (tensor.type == "uint8") return static_cast<const std::uint8_t*>(data)[index];
    if (tensor.type == "int32") return static_cast<const std::int32_t*>(data)[index];
    if (tensor.type == "int64") return static_cast<double>(static_cast<const std::int64_t*>(data)[index]);
    if (tensor.type == "float16") return cosmos::HalfToFloat(static_cast<const std::uint16_t*>(data)[index]);
    return static_cast<const float*>(data)[index] * 255.0;
  }
  void Set(std::int64_t index, double value) const {
    if (tensor.type == "float32") {
      static_cast<float*>(data)[index] = static_cast<float>(value);
    } else {  // half: the values are normal numbers below 2
      int exponent = 0;
      const double fraction = std::frexp(value, &exponent);  // 0.5..1
      const auto bits = std::lround((fraction * 2 - 1) * 1024);
      static_cast<std::uint16_t*>(data)[index] =
          value < 1e-4 ? 0 : static_cast<std::uint16_t>(((exponent + 14) << 10) + bits);
    }
  }
};

double Mean(const Operand& input, std::int64_t begin, std::int64_t end) {
  double sum = 0;
  for (std::int64_t i = begin; i < end; ++i) sum += input.At(i);
  return sum / static_cast<double>(end - begin);
}

void Compute(const std::vector<Operand>& inputs, const Operand& output) {
  const std::int64_t rows = output.shape[0];
  const std::int64_t dim = output.shape[1];
  const std::int64_t row_size = Product(inputs[0].shape) / rows;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::vector<double> values(dim, 1);
    double squares = 0;
    for (std::int64_t j = 0; j < dim; ++j) {
      const std::int64_t first = row * row_size;
      if (inputs.size() == 1) {
        values[j] += Mean(inputs[0], first + j * row_size / dim, first + (j + 1) * row_size / dim);
      } else {
        for (std::int64_t k = 0; k < row_size; ++k)
          values[j] +=
              inputs[1].At(first + k) * inputs[0].At(first + k) * static_cast<double>(1 + (k + j) % 3);
      }
      squares += values[j] * values[j];
    }
    for (std::int64_t j = 0; j < dim; ++j) output.Set(row * dim + j, values[j] / std::sqrt(squares));
  }
}

}  // namespace

ExecutionContext::ExecutionContext(std::shared_ptr<Model> model, bool managed)
    : model_(std::move(model)), managed_(managed) {
  mImpl = this;
  for (const PlanTensor& tensor : model_->plan.tensors)
    if (tensor.input) shapes_[tensor.name] = tensor.shape;
  Trace("context");
}

ExecutionContext::~ExecutionContext() noexcept {
  ++*changes_;
  Trace("~context");
}

bool ExecutionContext::setOptimizationProfileAsync(std::int32_t profile, CUstream) noexcept {
  if (Fault("setOptimizationProfileAsync") || !model_->OnDevice("setOptimizationProfileAsync")) return false;
  if (profile == profile_) return true;
  if (profile < 0 || profile >= static_cast<int>(model_->profile_count())) {
    model_->Error("IExecutionContext::setOptimizationProfileAsync: Error Code 3: API Usage Error (profile " +
                  std::to_string(profile) + " does not exist)");
    return false;
  }
  profile_ = profile;
  ++*changes_;
  warm_ = false;
  return true;
}

bool ExecutionContext::setInputShape(const char* name, const nvinfer1::Dims& dims) noexcept {
  if (Fault("setInputShape")) return false;
  const PlanTensor* tensor = model_->plan.Find(name);
  Shape shape(dims.d, dims.d + dims.nbDims);
  bool fits = tensor != nullptr && tensor->input && shape.size() == tensor->shape.size();
  const auto profiles = model_->plan.profiles.find(name);
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    fits = tensor->shape[i] == shape[i] ||
           (tensor->shape[i] < 0 && profile_ >= 0 && profiles != model_->plan.profiles.end() &&
            shape[i] >= profiles->second[profile_].min[i] && shape[i] <= profiles->second[profile_].max[i]);
  }
  if (!fits) {
    model_->Error(
        "IExecutionContext::setInputShape: Error Code 3: API Usage Error (Parameter check failed: " +
        std::string(name) + " " + Text(shape) + " is outside of profile " + std::to_string(profile_) + ")");
    return false;
  }
  if (shapes_[name] == shape) return true;
  shapes_[name] = std::move(shape);
  ++*changes_;
  warm_ = false;
  return true;
}

// An output has the batch size of the inputs.
Shape ExecutionContext::ShapeOf(const PlanTensor& tensor) const {
  if (tensor.input) return shapes_.at(tensor.name);
  Shape shape = tensor.shape;
  if (!shape.empty() && shape[0] < 0) shape[0] = shapes_.begin()->second[0];
  return shape;
}

nvinfer1::Dims ExecutionContext::getTensorShape(const char* name) const noexcept {
  return ToDims(ShapeOf(*model_->plan.Find(name)));
}

bool ExecutionContext::setTensorAddress(const char* name, void* data) noexcept {
  if (Fault("setTensorAddress")) return false;
  if (model_->plan.Find(name) == nullptr || reinterpret_cast<std::uint64_t>(data) % kAlignment != 0) {
    model_->Error("IExecutionContext::setTensorAddress: Error Code 3: API Usage Error (" + std::string(name) +
                  ")");
    return false;
  }
  addresses_[name] = data;
  ++*changes_;
  return true;
}

std::int64_t ExecutionContext::getMaxOutputSize(const char* name) const noexcept {
  const PlanTensor& tensor = *model_->plan.Find(name);
  return Product(ShapeOf(tensor)) * BytesOf(tensor.type);
}

void ExecutionContext::setDeviceMemoryV2(void* memory, std::int64_t size) noexcept {
  memory_ = memory;
  memory_bytes_ = size;
  ++*changes_;
}

bool ExecutionContext::enqueueV3(CUstream stream) noexcept {
  const bool captures = IsCapturing(stream);
  const auto fail = [&](const std::string& text) {
    model_->Error("IExecutionContext::enqueueV3: Error Code 1: " + text);
    return false;
  };
  const auto fault = Fault("enqueueV3");
  if (fault == 2) return fail("Cuda Runtime (out of memory)");
  if (fault) return fail("Internal Error (refused)");
  if (const auto refused = captures ? Fault("enqueueV3.capture") : std::nullopt) {
    if (refused == 1) return fail("Cuda Runtime (operation not permitted when stream is capturing)");
    cuStreamSynchronize(stream);  // breaks the capture
  }
  if (captures && !warm_) return fail("Internal Error (captured before it ran with these shapes)");
  if (!model_->OnDevice("enqueueV3")) return false;
  const auto memory = reinterpret_cast<CUdeviceptr>(memory_);
  const auto memory_bytes = static_cast<std::size_t>(managed_ ? memory_bytes_ : 0);
  if (managed_ && (memory_bytes_ < model_->memory_bytes(profile_) || memory % kAlignment != 0 ||
                   !IsDeviceMemory(memory, memory_bytes)))
    return fail("API Usage Error (the device memory is too small, not aligned or none)");
  if (managed_ && IsPendingElsewhere(memory, stream))
    Misuse("two contexts compute in the same memory at a time");

  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
  std::vector<std::uint64_t> touches;
  std::string line = captures ? "capture" : "enqueue";
  line += " profile=";
  line += std::to_string(profile_);
  for (const PlanTensor& tensor : model_->plan.tensors) {
    Operand operand{tensor, ShapeOf(tensor), addresses_[tensor.name]};
    const std::int64_t bytes = Product(operand.shape) * BytesOf(tensor.type);
    if (bytes < 0) return fail("API Usage Error (" + tensor.name + " has no shape)");
    if (!IsDeviceMemory(reinterpret_cast<CUdeviceptr>(operand.data), static_cast<std::size_t>(bytes)))
      return fail("API Usage Error (" + tensor.name + " has no memory)");
    touches.push_back(reinterpret_cast<std::uint64_t>(operand.data));
    if (tensor.input) line.append(" ").append(tensor.name).append("=").append(Text(operand.shape));
    (tensor.input ? inputs : outputs).push_back(std::move(operand));
  }
  if (managed_) touches.push_back(memory);
  Trace(line);
  warm_ = true;
  const auto run = [inputs, outputs, captures, memory = memory_, memory_bytes, changes = changes_,
                    then = *changes_] {
    if (memory_bytes > 0) std::memset(memory, 0x5A, memory_bytes);  // intermediate values
    if (captures && *changes != then)
      Misuse("a graph is replayed whose context has changed since its capture");
    for (const Operand& output : outputs) {
      if (output.shape.size() == 2 && output.tensor.name.find("embedding") != std::string::npos) {
        Compute(inputs, output);
      } else {
        std::memset(output.data, 0, Product(output.shape) * BytesOf(output.tensor.type));
      }
    }
  };
  return Enqueue(stream, "enqueueV3", std::move(touches), run) == CUDA_SUCCESS ||
         fail("Cuda Runtime (the stream takes no work)");
}

}  // namespace fakes
