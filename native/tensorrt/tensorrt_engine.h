// The engine on TensorRT: a plan for the video graph, one for the text graph, on one GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "cuda/device.h"
#include "cuda/preprocess.h"
#include "engine/engine.h"
#include "engine/graph.h"

namespace cosmos {

struct TensorRtOptions {
  std::string library;     // absolute path of libnvinfer.so.11, .so.10 or the lean runtime
  std::string video_path;  // the two plans
  std::string text_path;
  ModelShape model;
  std::int64_t pad_token_id = 0;
  int contexts = 2;        // of each tower, >= 1; no more than the plan has profiles
  bool graphs = true;      // replay runs as CUDA graphs where that works
  bool host_code = false;  // plans may bring code that runs in this process
};

// `preprocessor` is of the same device. Of a Gpu: CreateTensorRtEngine(gpu->device(), {gpu,
// &gpu->preprocessor()}, options). Fails with kLibrary (the library, or a plan of another version of it),
// kModel (a plan that is corrupt, for another GPU, or none that we know), kOutOfMemory, kDeviceLost.
Result<std::unique_ptr<Engine>> CreateTensorRtEngine(const cuda::Device& device,
                                                     std::shared_ptr<const cuda::Preprocessor> preprocessor,
                                                     const TensorRtOptions& options);

}  // namespace cosmos
