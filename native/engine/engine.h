// The engine: clips and token rows in, unit vectors out. ONNX Runtime implements it on the CPU, TensorRT on a
// GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "engine/wake.h"
#include "image/clip.h"

namespace cosmos {

// The model's two halves; each is a graph of its own.
enum class Tower { kVideo, kText };

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

// A run that has begun. Destroying one that was not finished waits until the device has let go of its memory.
// Its engine outlives it.
class EngineRun {
 public:
  virtual ~EngineRun() = default;
  // Whether Finish would not wait.
  virtual bool Ready() = 0;
  // Rows of `embedding_dim` floats, as the graph gave them; the executor checks their norm. Called once.
  virtual Result<std::vector<float>> Finish() = 0;
};

// One implementation per backend. Only the executor's thread calls Begin and the runs' functions, with no
// more items than the signature's largest batch, clips of its shape and rows of at least one token. What a
// run was begun with lives until the run is destroyed.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineSignature& signature() const = 0;
  virtual const EngineInfo& info() const = 0;
  // The ordinal of the GPU whose memory clips may lie in; nothing: host memory only.
  virtual std::optional<int> device() const { return std::nullopt; }
  // How many runs of a tower may be in flight at a time, >= 1.
  virtual int lanes(Tower /*tower*/) const { return 1; }
  // Called once, before the first run. An engine whose runs go on after Begin sets `wake` at the end of each,
  // from any thread, also while the executor is being destroyed.
  virtual void SetWake(std::shared_ptr<Wake> /*wake*/) {}

  virtual Result<std::unique_ptr<EngineRun>> BeginVideo(std::span<const ClipPtr> clips,
                                                        CancelToken& cancel) = 0;
  // Rows may differ in length; the engine pads them and masks the padding.
  virtual Result<std::unique_ptr<EngineRun>> BeginText(std::span<const TokenRow> rows,
                                                       CancelToken& cancel) = 0;
};

}  // namespace cosmos
