// A lane: a stream with its own buffers and TensorRT execution contexts, which executes one run at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cuda/device.h"
#include "engine/graph.h"
#include "engine/wake.h"
#include "tensorrt/library.h"

namespace cosmos::trt {

// The shapes of the inputs, in their order.
using Shapes = std::vector<std::vector<std::int64_t>>;

// The number of contexts of a lane for recurring shapes, in addition to the one for all others. Each needs
// some device memory that it does not share.
inline constexpr std::size_t kMaxRecurring = 8;
// Shapes recur when they are used again within this many runs.
inline constexpr std::size_t kRecentRuns = 64;

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
  // `profile` < 0 for a plan without dynamic shapes. `engine` and `graph` must outlive the lane. The device
  // must be current, as for every function here.
  static Result<std::unique_ptr<Lane>> Make(Library& library, const cuda::Device& device,
                                            const Handle<CudaEngine>& engine, const GraphSpec& graph,
                                            const std::string& path, int profile, const LaneOptions& options);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  bool busy() const { return busy_; }
  void set_busy(bool busy) { busy_ = busy; }
  void set_wake(std::shared_ptr<Wake> wake) { wake_ = std::move(wake); }
  CUstream stream() const { return stream_.get(); }
  CUdeviceptr input(std::size_t index) const { return inputs_[index].address(); }
  std::byte* staging(std::size_t index) const { return staging_[index].data(); }
  CUdeviceptr scratch() const { return scratch_.address(); }

  // Queue on the stream: a copy to the device, the run itself, and a copy of the output's first rows to the
  // host, followed by the event that Poll and Wait look at and by a host function that sets the wake.
  Status Upload(CUdeviceptr to, const std::byte* from, std::size_t bytes);
  Status Launch(const Shapes& shapes);
  Status Download(std::size_t rows);

  // Whether the event was reached. True after an error as well, which Wait returns.
  bool Poll();
  Status Wait();
  // Waits until the device uses none of the buffers. False if the wait failed.
  bool Drain();
  // The rows that Download copied, as float32.
  std::vector<float> Rows(std::size_t rows) const;

 private:
  // A context whose shapes never change, and the graph of its runs once captured. TensorRT keeps state that
  // depends on the shapes in the context, outside of the graph, so changing them would invalidate the graph.
  struct Recurring {
    Shapes shapes;
    Handle<ExecutionContext> context;
    cuda::GraphExecutable replay;
    std::int64_t last_run = 0;
  };

  Lane(Library& library, const cuda::Device& device, const Handle<CudaEngine>& engine, const GraphSpec& graph,
       std::string path, int profile, bool graphs)
      : library_(library),
        device_(device),
        engine_(engine),
        graph_(graph),
        path_(std::move(path)),
        profile_(profile),
        graphs_(graphs) {}
  Status Open();
  Status Allocate(const LaneOptions& options);
  Result<Handle<ExecutionContext>> MakeContext();
  Status SetShapes(Handle<ExecutionContext>& context, const Shapes& shapes);
  Status SetAddress(Handle<ExecutionContext>& context, const TensorSpec& tensor, CUdeviceptr address);
  Status Enqueue(Handle<ExecutionContext>& context);
  Status Run(Recurring& recurring);
  bool CameBefore(const Shapes& shapes) const;
  bool MakeRoom();
  void Prepare(const Shapes& shapes);
  void Capture(Recurring& recurring);

  Library& library_;
  const cuda::Device& device_;
  const Handle<CudaEngine>& engine_;
  const GraphSpec& graph_;
  const std::string path_;
  const int profile_;
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
  std::shared_ptr<Wake> wake_;
  // Holds the activations. All contexts share it, because the stream runs them one after the other.
  cuda::DeviceBuffer memory_;
  // Runs all shapes that have no entry in recurring_.
  Handle<ExecutionContext> context_;
  Shapes shapes_;  // the current shapes of context_; empty if there are none, or after a failure
  std::list<Recurring> recurring_;
  std::size_t max_recurring_ = kMaxRecurring;
  std::deque<Shapes> recent_;  // the shapes of the last runs on context_
  std::int64_t runs_ = 0;
};

}  // namespace cosmos::trt
