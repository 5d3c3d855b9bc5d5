#include "tensorrt/lane.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <span>
#include <utility>

#include "engine/half.h"

namespace cosmos::trt {
namespace {

Dims ToDims(const std::vector<std::int64_t>& shape) {
  Dims dims;
  dims.rank = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d.begin());
  return dims;
}

bool IsOpen(const TensorSpec& tensor) {
  return std::find(tensor.dims.begin(), tensor.dims.end(), kDynamic) != tensor.dims.end();
}

void KeepForever(std::shared_ptr<Wake> wake) {
  static std::mutex mutex;
  // Intentionally leaked.
  static auto* const kept = new std::vector<std::shared_ptr<Wake>>;
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(wake));
}

std::size_t BytesOf(ElementType type) {
  switch (type) {
    case ElementType::kUint8: return 1;
    case ElementType::kFloat16: return 2;
    case ElementType::kInt64: return 8;
    default: return 4;
  }
}

}  // namespace

Status Failure(const LogScope& scope, const cuda::Device& device, StatusCode code, const std::string& doing,
               const std::string& file) {
  // After a sticky error every driver call returns it.
  auto memory = device.MemoryInfo();
  if (!memory.ok() && memory.status().code() == StatusCode::kDeviceLost) return memory.TakeStatus();
  return scope.Failure(code, doing).With("file", file);
}

Result<std::unique_ptr<Lane>> Lane::Make(Library& library, const cuda::Device& device,
                                         const Handle<CudaEngine>& engine, const GraphSpec& graph,
                                         const std::string& path, int profile, const LaneOptions& options) {
  std::unique_ptr<Lane> lane(new Lane(library, device, engine, graph, path, profile, options.graphs));
  COSMOS_RETURN_IF_ERROR(lane->Open());
  COSMOS_RETURN_IF_ERROR(lane->SetShapes(lane->context_, options.max));
  COSMOS_RETURN_IF_ERROR(lane->Allocate(options));
  return lane;
}

Status Lane::Open() {
  COSMOS_ASSIGN_OR_RETURN(stream_, cuda::MakeStream(device_));
  COSMOS_ASSIGN_OR_RETURN(done_, cuda::MakeEvent(device_));
  const std::int64_t bytes =
      library_.Call(CudaEngine_getDeviceMemorySizeForProfileV2, engine_, std::max(profile_, 0));
  if (bytes > 0) {
    COSMOS_ASSIGN_OR_RETURN(memory_, cuda::DeviceBuffer::Allocate(device_, static_cast<std::size_t>(bytes)));
  }
  COSMOS_ASSIGN_OR_RETURN(context_, MakeContext());
  return device_.Check(device_.api().StreamSynchronize(stream_.get()), "the profile of " + path_);
}

Result<Handle<ExecutionContext>> Lane::MakeContext() {
  const LogScope scope(library_.log());
  Handle<ExecutionContext> context(
      library_.Call(CudaEngine_createExecutionContext, engine_, Allocation::kUserManaged));
  // A context keeps its profile for life: changing it is slow and invalidates graphs. TensorRT 10 and later
  // let contexts share a profile.
  if (context && (profile_ < 0 || library_.Call(ExecutionContext_setOptimizationProfileAsync, context,
                                                profile_, stream_.get()))) {
    library_.Call(ExecutionContext_setDeviceMemoryV2, context,
                  reinterpret_cast<void*>(memory_.address()),  // NOLINT(performance-no-int-to-ptr)
                  static_cast<std::int64_t>(memory_.bytes()));
    return context;
  }
  return Failure(scope, device_, StatusCode::kModel,
                 "TensorRT " + library_.version().text() + " cannot make an execution context for " + path_,
                 path_);
}

Status Lane::Allocate(const LaneOptions& options) {
  const auto buffer = [&](std::size_t bytes, std::vector<cuda::DeviceBuffer>& list) -> Status {
    COSMOS_ASSIGN_OR_RETURN(auto made, cuda::DeviceBuffer::Allocate(device_, bytes));
    list.push_back(std::move(made));
    return {};
  };
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const TensorSpec& tensor = graph_.inputs[i];
    std::size_t bytes = BytesOf(tensor.type);
    for (const std::int64_t size : options.max[i]) bytes *= static_cast<std::size_t>(size);
    COSMOS_RETURN_IF_ERROR(buffer(bytes, inputs_));
    COSMOS_RETURN_IF_ERROR(SetAddress(context_, tensor, inputs_.back().address()));
    COSMOS_ASSIGN_OR_RETURN(auto staging, cuda::PinnedBuffer::Allocate(device_, options.staging[i]));
    staging_.push_back(std::move(staging));
  }
  const std::vector<std::int64_t> expected = {options.max[0][0], options.embedding_dim};
  for (const TensorSpec& tensor : graph_.outputs) {
    const Dims dims = library_.Call(ExecutionContext_getTensorShape, context_, tensor.name.c_str());
    const auto bytes = library_.Call(ExecutionContext_getMaxOutputSize, context_, tensor.name.c_str());
    const std::vector<std::int64_t> found(dims.d.begin(), dims.d.begin() + std::clamp(dims.rank, 0, 8));
    if (bytes <= 0 || (tensor.name == options.output && found != expected)) {
      return Status(StatusCode::kModel,
                    path_ + " does not determine the size of its output " + tensor.name + " before a run")
          .With("file", path_);
    }
    COSMOS_RETURN_IF_ERROR(buffer(static_cast<std::size_t>(bytes), outputs_));
    COSMOS_RETURN_IF_ERROR(SetAddress(context_, tensor, outputs_.back().address()));
    if (tensor.name != options.output) continue;
    output_ = outputs_.back().address();
    half_ = tensor.type == ElementType::kFloat16;
    embedding_dim_ = static_cast<std::size_t>(options.embedding_dim);
    COSMOS_ASSIGN_OR_RETURN(
        result_, cuda::PinnedBuffer::Allocate(device_, static_cast<std::size_t>(options.max[0][0]) *
                                                           embedding_dim_ * BytesOf(tensor.type)));
  }
  if (options.scratch == 0) return {};
  COSMOS_ASSIGN_OR_RETURN(scratch_, cuda::DeviceBuffer::Allocate(device_, options.scratch));
  return {};
}

Lane::~Lane() {
  // On a failed device the wait does not cover a host function that has begun.
  if (!Drain() && wake_) KeepForever(std::move(wake_));
}

Status Lane::SetAddress(Handle<ExecutionContext>& context, const TensorSpec& tensor, CUdeviceptr address) {
  const LogScope scope(library_.log());
  if (library_.Call(ExecutionContext_setTensorAddress, context, tensor.name.c_str(),
                    reinterpret_cast<void*>(address))) {  // NOLINT(performance-no-int-to-ptr)
    return {};
  }
  return Failure(scope, device_, StatusCode::kEngine, "TensorRT rejects the memory for " + tensor.name,
                 path_);
}

Status Lane::SetShapes(Handle<ExecutionContext>& context, const Shapes& shapes) {
  const LogScope scope(library_.log());
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const TensorSpec& tensor = graph_.inputs[i];
    if (!IsOpen(tensor)) continue;
    if (library_.Call(ExecutionContext_setInputShape, context, tensor.name.c_str(), ToDims(shapes[i])))
      continue;
    return Failure(scope, device_, StatusCode::kEngine, "TensorRT rejects the shape of " + tensor.name,
                   path_);
  }
  return {};
}

Status Lane::Upload(CUdeviceptr to, const std::byte* from, std::size_t bytes) {
  return device_.Check(device_.api().MemcpyHtoDAsync(to, from, bytes, stream_.get()),
                       "cannot copy to the GPU");
}

Status Lane::Launch(const Shapes& shapes) {
  ++runs_;
  if (graphs_) {
    const auto found = std::ranges::find(recurring_, shapes, &Recurring::shapes);
    if (found != recurring_.end()) return Run(*found);
  }
  if (shapes != shapes_) {
    shapes_.clear();  // SetShapes may fail after it has set some of them
    COSMOS_RETURN_IF_ERROR(SetShapes(context_, shapes));
    shapes_ = shapes;
  }
  COSMOS_RETURN_IF_ERROR(Enqueue(context_));
  if (!graphs_) return {};
  // Prepares the next run while the device executes this one.
  if (CameBefore(shapes)) Prepare(shapes);
  recent_.push_back(shapes);
  if (recent_.size() > kRecentRuns) recent_.pop_front();
  return {};
}

Status Lane::Run(Recurring& recurring) {
  recurring.last_run = runs_;
  if (recurring.replay) {
    if (device_.api().GraphLaunch(recurring.replay.get(), stream_.get()) == CUDA_SUCCESS) return {};
    graphs_ = false;
  }
  COSMOS_RETURN_IF_ERROR(Enqueue(recurring.context));
  // TensorRT must have run a shape before it is captured.
  if (graphs_) Capture(recurring);
  return {};
}

bool Lane::CameBefore(const Shapes& shapes) const {
  return std::ranges::find(recent_, shapes) != recent_.end();
}

// Returns whether another context may be made, evicting one that has not run for a while if necessary. Shapes
// that alternate never evict each other.
bool Lane::MakeRoom() {
  if (recurring_.size() < max_recurring_) return true;
  if (recurring_.empty()) return false;
  const auto oldest = std::ranges::min_element(recurring_, {}, &Recurring::last_run);
  if (runs_ - oldest->last_run < static_cast<std::int64_t>(kRecentRuns)) return false;
  recurring_.erase(oldest);
  return true;
}

// Makes a context for shapes that recur. Runs without one are slower but equally correct, so after a failure,
// such as too little memory, the lane only makes no more of them.
void Lane::Prepare(const Shapes& shapes) {
  if (!MakeRoom()) return;
  Result<Handle<ExecutionContext>> context = MakeContext();
  Status status = context.ok() ? SetShapes(context.value(), shapes) : context.TakeStatus();
  for (std::size_t i = 0; status.ok() && i < inputs_.size(); ++i)
    status = SetAddress(context.value(), graph_.inputs[i], inputs_[i].address());
  for (std::size_t i = 0; status.ok() && i < outputs_.size(); ++i)
    status = SetAddress(context.value(), graph_.outputs[i], outputs_[i].address());
  if (status.ok()) {
    recurring_.push_back({shapes, std::move(context).value(), {}, runs_});
  } else {
    max_recurring_ = recurring_.size();
  }
}

Status Lane::Enqueue(Handle<ExecutionContext>& context) {
  const LogScope scope(library_.log());
  if (library_.Call(ExecutionContext_enqueueV3, context, stream_.get())) return {};
  return Failure(scope, device_, StatusCode::kEngine, "TensorRT cannot run " + path_, path_);
}

// A failure only disables graphs: runs without them are slower but equally correct.
void Lane::Capture(Recurring& recurring) {
  const cuda::Api& api = device_.api();
  const LogScope ignored(library_.log());
  cuda::Graph graph = nullptr;
  cuda::GraphExec executable = nullptr;
  graphs_ = api.StreamBeginCapture(stream_.get(), cuda::kCaptureThreadLocal) == CUDA_SUCCESS;
  if (!graphs_) return;
  // A rejected enqueue leaves an empty graph, which would return the previous result on every replay.
  const bool enqueued = library_.Call(ExecutionContext_enqueueV3, recurring.context, stream_.get());
  const bool ended = api.StreamEndCapture(stream_.get(), &graph) == CUDA_SUCCESS && graph != nullptr;
  graphs_ = enqueued && ended && api.GraphInstantiate(&executable, graph, 0) == CUDA_SUCCESS;
  if (graph != nullptr) api.GraphDestroy(graph);
  if (graphs_) recurring.replay = cuda::GraphExecutable(device_, executable);
}

Status Lane::Download(std::size_t rows) {
  const std::size_t bytes = rows * embedding_dim_ * (half_ ? 2 : 4);
  COSMOS_RETURN_IF_ERROR(
      device_.Check(device_.api().MemcpyDtoHAsync(result_.data(), output_, bytes, stream_.get()),
                    "cannot copy from the GPU"));
  COSMOS_RETURN_IF_ERROR(
      device_.Check(device_.api().EventRecord(done_.get(), stream_.get()), "cannot record the end of a run"));
  if (!wake_) return {};
  // Queued after the event, so that the executor finds the event reached. Draining the stream waits for the
  // call.
  const auto set = [](void* wake) { static_cast<Wake*>(wake)->Set(); };
  return device_.Check(device_.api().LaunchHostFunc(stream_.get(), set, wake_.get()),
                       "cannot announce the end of a run");
}

bool Lane::Poll() { return device_.api().EventQuery(done_.get()) != CUDA_ERROR_NOT_READY; }

Status Lane::Wait() {
  return device_.Check(device_.api().EventSynchronize(done_.get()), "the run of " + path_ + " failed");
}

bool Lane::Drain() { return !stream_ || device_.api().StreamSynchronize(stream_.get()) == CUDA_SUCCESS; }

std::vector<float> Lane::Rows(std::size_t rows) const {
  std::vector<float> vectors(rows * embedding_dim_);
  if (half_) {
    const auto* halves = reinterpret_cast<const std::uint16_t*>(result_.data());
    std::transform(halves, halves + vectors.size(), vectors.begin(), HalfToFloat);
  } else {
    std::memcpy(vectors.data(), result_.data(), vectors.size() * sizeof(float));
  }
  return vectors;
}

}  // namespace cosmos::trt
