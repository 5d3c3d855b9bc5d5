// A plan that is deserialized on a device (NVIDIA's ICudaEngine), the shapes that its optimisation profiles
// allow, and its lanes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "cuda/device.h"
#include "engine/graph.h"
#include "tensorrt/lane.h"
#include "tensorrt/library.h"

namespace cosmos::trt {

// The shapes that all profiles in use accept.
struct Range {
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> max;
};

class LoadedPlan {
 public:
  // Reads the plan. The device must be current. Fails with kModel, kLibrary, kOutOfMemory, kDeviceLost.
  static Result<std::unique_ptr<LoadedPlan>> Load(Library& library, const cuda::Device& device,
                                                  const std::string& path, bool host_code);
  LoadedPlan(const LoadedPlan&) = delete;
  LoadedPlan& operator=(const LoadedPlan&) = delete;
  ~LoadedPlan();

  const GraphSpec& graph() const { return graph_; }
  const std::string& path() const { return path_; }

  // The number of lanes that the plan allows, at most `contexts`: with dynamic shapes each needs its own
  // profile.
  int CountLanes(int contexts) const;
  // The range of `inputs`, which all have the same shape, in the first `lanes` profiles. Fails with kModel.
  Result<Range> RangeOf(std::span<const TensorSpec> inputs, int lanes) const;
  // Creates the execution contexts and their buffers.
  Status MakeLanes(int lanes, const LaneOptions& options);

  int lanes() const { return static_cast<int>(lanes_.size()); }
  void SetWake(const std::shared_ptr<Wake>& wake);
  // A lane without a run, or null.
  Lane* FreeLane();

 private:
  LoadedPlan(Library& library, const cuda::Device& device, std::string path)
      : library_(library), device_(device), path_(std::move(path)) {}
  Status ReadGraph();
  bool is_dynamic() const;

  Library& library_;
  const cuda::Device& device_;
  const std::string path_;
  // Declared in order of dependency: lanes are destroyed before the engine, and that before the runtime.
  Handle<Runtime> runtime_;
  Handle<CudaEngine> engine_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  GraphSpec graph_;
};

}  // namespace cosmos::trt
