// A plan that is loaded on a device, and what its optimisation profiles allow.
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

// The shapes that every profile in use takes.
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

  // How many runs may be in flight at a time when up to `contexts` are wanted: with shapes that the plan
  // leaves open each needs a profile of its own.
  int CountLanes(int contexts) const;
  // Of inputs that all have the same shape, in the first `lanes` profiles. Fails with kModel.
  Result<Range> RangeOf(std::span<const TensorSpec> inputs, int lanes) const;
  // Makes the execution contexts and their buffers.
  Status MakeLanes(int lanes, const LaneOptions& options);

  int lanes() const { return static_cast<int>(lanes_.size()); }
  // One that no run uses, or null.
  Lane* FreeLane();

 private:
  LoadedPlan(Library& library, const cuda::Device& device, std::string path)
      : library_(library), device_(device), path_(std::move(path)) {}
  Status ReadGraph();
  bool is_dynamic() const;

  Library& library_;
  const cuda::Device& device_;
  const std::string path_;
  // Freed from the last to the first.
  Handle<Runtime> runtime_;
  Handle<CudaEngine> engine_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  GraphSpec graph_;
};

}  // namespace cosmos::trt
