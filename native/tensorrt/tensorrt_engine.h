// The engine on TensorRT: one plan for the video graph, one for the text graph, on one GPU.
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
  int contexts = 2;        // lanes of each tower, >= 1; at most one per profile of a plan with dynamic shapes
  bool graphs = true;      // replay runs as CUDA graphs where possible
  bool host_code = false;  // plans may contain code that runs in this process
};

// `preprocessor` must be of the same device; for a Gpu, pass {gpu, &gpu->preprocessor()}. Fails with kLibrary
// (the library cannot be used, or another version built the plan), kModel (a plan is corrupt, for another
// GPU, or not of a known form), kOutOfMemory or kDeviceLost.
Result<std::unique_ptr<Engine>> CreateTensorRtEngine(const cuda::Device& device,
                                                     std::shared_ptr<const cuda::Preprocessor> preprocessor,
                                                     const TensorRtOptions& options);

}  // namespace cosmos
