#include "tensorrt/loaded_plan.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "tensorrt/plan_file.h"

namespace cosmos::trt {
namespace {

// Types that ElementType lacks become 100 + TensorRT's number, which ONNX does not use.
ElementType ToElementType(DataType type) {
  switch (type) {
    case DataType::kFloat: return ElementType::kFloat32;
    case DataType::kHalf: return ElementType::kFloat16;
    case DataType::kInt8: return ElementType::kInt8;
    case DataType::kInt32: return ElementType::kInt32;
    case DataType::kBool: return ElementType::kBool;
    case DataType::kUint8: return ElementType::kUint8;
    case DataType::kBf16: return ElementType::kBfloat16;
    case DataType::kInt64: return ElementType::kInt64;
  }
  return static_cast<ElementType>(100 + static_cast<int>(type));
}

std::vector<std::int64_t> ToShape(const Dims& dims) {
  return {dims.d.begin(), dims.d.begin() + std::clamp(dims.rank, 0, static_cast<int>(dims.d.size()))};
}

}  // namespace

Result<std::unique_ptr<LoadedPlan>> LoadedPlan::Load(Library& library, const cuda::Device& device,
                                                     const std::string& path, bool host_code) {
  std::unique_ptr<LoadedPlan> loaded(new LoadedPlan(library, device, path));
  COSMOS_ASSIGN_OR_RETURN(auto plan, PlanFile::Map(path));
  COSMOS_RETURN_IF_ERROR(plan.CheckHeader(library, host_code));
  COSMOS_ASSIGN_OR_RETURN(loaded->runtime_, library.MakeRuntime());
  if (host_code) library.Call(Runtime_setEngineHostCodeAllowed, loaded->runtime_, true);
  {
    const LogScope scope(library.log());
    loaded->engine_.reset(
        library.Call(Runtime_deserializeCudaEngine, loaded->runtime_, plan.data(), plan.size()));
    if (!loaded->engine_) {
      return Failure(scope, device, StatusCode::kModel,
                     "TensorRT " + library.version().text() + " cannot load " + path, path);
    }
  }
  COSMOS_RETURN_IF_ERROR(loaded->ReadGraph());
  return loaded;
}

LoadedPlan::~LoadedPlan() {
  // Any thread may destroy the engine. Failure is ignored: a lost device frees nothing.
  std::ignore = device_.MakeCurrent();
}

Status LoadedPlan::ReadGraph() {
  const int count = library_.Call(CudaEngine_getNbIOTensors, engine_);
  for (int i = 0; i < count; ++i) {
    const char* name = library_.Call(CudaEngine_getIOTensorName, engine_, i);
    if (library_.Call(CudaEngine_isShapeInferenceIO, engine_, name) ||
        library_.Call(CudaEngine_getTensorLocation, engine_, name) != Location::kDevice) {
      return Status(StatusCode::kModel, path_ + " expects its tensor " + std::string(name) +
                                            " in host memory, which no graph of a known form does")
          .With("file", path_);
    }
    TensorSpec tensor;
    tensor.name = name;
    tensor.type = ToElementType(library_.Call(CudaEngine_getTensorDataType, engine_, name));
    tensor.dims = ToShape(library_.Call(CudaEngine_getTensorShape, engine_, name));
    tensor.labels.resize(tensor.dims.size());
    const bool input = library_.Call(CudaEngine_getTensorIOMode, engine_, name) == IoMode::kInput;
    (input ? graph_.inputs : graph_.outputs).push_back(std::move(tensor));
  }
  return {};
}

bool LoadedPlan::is_dynamic() const {
  return std::ranges::any_of(graph_.inputs, [](const TensorSpec& tensor) {
    return std::ranges::find(tensor.dims, kDynamic) != tensor.dims.end();
  });
}

int LoadedPlan::CountLanes(int contexts) const {
  if (!is_dynamic()) return contexts;
  return std::min(contexts, library_.Call(CudaEngine_getNbOptimizationProfiles, engine_));
}

Result<Range> LoadedPlan::RangeOf(std::span<const TensorSpec> inputs, int lanes) const {
  Range range{inputs[0].dims, inputs[0].dims};
  const std::size_t rank = inputs[0].dims.size();
  const auto refuse = [&](const std::string& reason) {
    return Status(StatusCode::kModel, "the profiles of " + path_ + " " + reason + "; build it again")
        .With("file", path_)
        .With("reason", reason);
  };
  std::ranges::replace(range.min, kDynamic, 1);
  std::ranges::replace(range.max, kDynamic, std::numeric_limits<std::int64_t>::max());
  for (int profile = 0; is_dynamic() && profile < lanes; ++profile) {
    for (const TensorSpec& input : inputs) {
      const auto shape = [&](Selector selector) {
        return ToShape(
            library_.Call(CudaEngine_getProfileShape, engine_, input.name.c_str(), profile, selector));
      };
      const std::vector<std::int64_t> min = shape(Selector::kMin);
      const std::vector<std::int64_t> max = shape(Selector::kMax);
      if (min.size() != rank || max.size() != rank) return refuse("do not cover " + Describe(input));
      for (std::size_t i = 0; i < rank; ++i) {
        range.min[i] = std::max(range.min[i], min[i]);
        range.max[i] = std::min(range.max[i], max[i]);
      }
    }
  }
  for (std::size_t i = 0; i < rank; ++i) {
    if (range.min[i] > range.max[i]) return refuse("share no shape of " + Describe(inputs[0]));
  }
  return range;
}

Status LoadedPlan::MakeLanes(int lanes, const LaneOptions& options) {
  for (int i = 0; i < lanes; ++i) {
    COSMOS_ASSIGN_OR_RETURN(
        auto lane, Lane::Make(library_, device_, engine_, graph_, path_, is_dynamic() ? i : -1, options));
    lanes_.push_back(std::move(lane));
  }
  return {};
}

void LoadedPlan::SetWake(const std::shared_ptr<Wake>& wake) {
  for (const auto& lane : lanes_) lane->set_wake(wake);
}

Lane* LoadedPlan::FreeLane() {
  const auto found = std::ranges::find_if(lanes_, [](const auto& lane) { return !lane->busy(); });
  return found == lanes_.end() ? nullptr : found->get();
}

}  // namespace cosmos::trt
