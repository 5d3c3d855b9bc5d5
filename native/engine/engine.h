// The engine: clips and token rows in, unit vectors out. ONNX Runtime implements it today, TensorRT will.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "image/clip.h"

namespace cosmos {

// What the model's graphs were found to be, after adaptation to the canonical interface.
struct EngineSignature {
  ClipShape clip;
  int embedding_dim = 0;
  int max_video_batch = 0;  // largest batch of one run; 0 = any
  int max_text_batch = 0;
  std::string video_form;   // "canonical" | "tao": how the video graph wants its clips
  std::string video_input;  // e.g. "videos uint8 [B,8,3,224,224]", as found
  std::string text_input;
};

struct EngineInfo {
  std::string backend;  // "onnxruntime" | "tensorrt"
  std::string version;
  std::string library;  // path of the file that was opened
};

using TokenRow = std::vector<std::int64_t>;

// One implementation per backend. Only the executor's thread calls the Encode functions, with no more items
// than the signature's largest batch, clips of its shape and rows of at least one token. Results are rows of
// `signature().embedding_dim` floats, as the graph gave them; the executor checks their norm.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineSignature& signature() const = 0;
  virtual const EngineInfo& info() const = 0;
  virtual Result<std::vector<float>> EncodeVideo(std::span<const ClipPtr> clips, CancelToken& cancel) = 0;
  // Rows may differ in length; the engine pads them and masks the padding.
  virtual Result<std::vector<float>> EncodeText(std::span<const TokenRow> rows, CancelToken& cancel) = 0;
};

}  // namespace cosmos
