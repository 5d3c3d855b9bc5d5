// A lane: a TensorRT execution context with its own stream and buffers, which executes one run at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cuda/device.h"
#include "engine/graph.h"
#include "tensorrt/library.h"

namespace cosmos::trt {

// The shapes of the inputs, in their order.
using Shapes = std::vector<std::vector<std::int64_t>>;

struct LaneOptions {
  Shapes max;                        // the largest shapes; determine the sizes of the buffers
  std::string output;                // the output that is copied to the host: [B, dim]
  int embedding_dim = 0;             // dim
  std::vector<std::size_t> staging;  // page-locked bytes for each input
  std::size_t scratch = 0;           // bytes of device memory for the caller's use
  bool graphs = true;                // replay runs of a repeated shape as CUDA graphs
};

// The Status of a failed TensorRT call: kDeviceLost if the device is lost, otherwise what `scope` logged.
Status Failure(const LogScope& scope, const cuda::Device& device, StatusCode code, const std::string& doing,
               const std::string& file);

class Lane {
 public:
  // `profile` < 0 for a plan without dynamic shapes. The device must be current, as for every function here.
  static Result<std::unique_ptr<Lane>> Make(Library& library, const cuda::Device& device,
                                            const Handle<CudaEngine>& engine, const GraphSpec& graph,
                                            const std::string& path, int profile, const LaneOptions& options);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  bool busy() const { return busy_; }
  void set_busy(bool busy) { busy_ = busy; }
  CUstream stream() const { return stream_.get(); }
  CUdeviceptr input(std::size_t index) const { return inputs_[index].address(); }
  std::byte* staging(std::size_t index) const { return staging_[index].data(); }
  CUdeviceptr scratch() const { return scratch_.address(); }

  // Queue on the stream: a copy to the device, the run itself, and a copy of the output's first rows to the
  // host followed by the event that Poll and Wait look at.
  Status Upload(CUdeviceptr to, const std::byte* from, std::size_t bytes);
  Status Launch(const Shapes& shapes);
  Status Download(std::size_t rows);

  // Whether the event was reached. True after an error as well, which Wait returns.
  bool Poll();
  Status Wait();
  // Waits until the device uses none of the buffers.
  void Drain();
  // The rows that Download copied, as float32.
  std::vector<float> Rows(std::size_t rows) const;

 private:
  Lane(Library& library, const cuda::Device& device, const GraphSpec& graph, std::string path, bool graphs)
      : library_(library), device_(device), graph_(graph), path_(std::move(path)), graphs_(graphs) {}
  Status Open(const Handle<CudaEngine>& engine, int profile);
  Status Allocate(const LaneOptions& options);
  Status SetShapes(const Shapes& shapes);
  Status SetAddress(const TensorSpec& tensor, CUdeviceptr address);
  Status Enqueue();
  void Capture();

  Library& library_;
  const cuda::Device& device_;
  const GraphSpec& graph_;
  const std::string path_;
  bool graphs_;
  bool busy_ = false;
  bool half_ = false;  // the output is float16
  std::size_t embedding_dim_ = 0;
  CUdeviceptr output_ = 0;
  std::vector<cuda::DeviceBuffer> inputs_;
  std::vector<cuda::DeviceBuffer> outputs_;
  std::vector<cuda::PinnedBuffer> staging_;
  cuda::DeviceBuffer scratch_;
  cuda::PinnedBuffer result_;
  cuda::Stream stream_;
  cuda::Event done_;
  Handle<ExecutionContext> context_;
  Shapes shapes_;  // of the last run
  // The graph of that run, captured once its shapes repeat. Valid only until they change, because TensorRT
  // keeps state that depends on the shapes in the context, outside of the graph.
  cuda::GraphExecutable replay_;
};

}  // namespace cosmos::trt
