// The engine on ONNX Runtime: one session for the video graph, one for the text graph.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "engine/engine.h"
#include "engine/graph.h"

namespace cosmos {

struct OnnxOptions {
  std::string library;     // absolute path of libonnxruntime.so.1
  std::string video_path;  // the two graphs; external data lies beside them
  std::string text_path;
  ModelShape model;
  std::int64_t pad_token_id = 0;
  int intra_op_threads = 0;  // threads inside one run; 0 = one per core
  int text_lanes = 1;        // batches of texts that run at a time, in one session
  // Whether threads that wait busy-wait, which takes cores from the decoders. Absent: for microseconds, and
  // only during a run.
  std::optional<bool> spinning;
  bool memory_pattern = true;
  bool memory_arena = true;  // memory.h, or ONNX Runtime's own arena where the library is too old for it
};

// Fails with kLibrary (the library cannot be used), kModel (a graph cannot be loaded or is not of a known
// form) or kInvalidArgument.
Result<std::unique_ptr<Engine>> CreateOnnxEngine(const OnnxOptions& options);

}  // namespace cosmos
