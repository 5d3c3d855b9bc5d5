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

// The model's two encoders; each is a graph of its own.
enum class Tower { kVideo, kText };

// What the loaded graphs take, after adaptation to the canonical interface.
struct EngineSignature {
  ClipShape clip;
  int embedding_dim = 0;
  int max_video_batch = 0;  // largest batch of one run; 0 = unlimited
  int max_text_batch = 0;
  int text_length_step = 1;  // rows are padded to the longest of their run, and then to a multiple of this
  std::string video_form;    // "canonical" | "tao": layout and type of the video graph's input
  std::string video_input;   // as declared by the graph, e.g. "videos uint8 [B,8,3,224,224]"
  std::string text_input;
};

struct EngineInfo {
  std::string backend;  // "onnxruntime" | "tensorrt"
  std::string version;
  std::string library;  // path of the file that was opened
};

using TokenRow = std::vector<std::int64_t>;

// A run in flight. Destroying it before Finish waits until the device no longer uses the run's memory. The
// engine must outlive it.
class EngineRun {
 public:
  virtual ~EngineRun() = default;
  // Whether Finish would return without waiting.
  virtual bool Ready() = 0;
  // Waits for the run and returns its rows of `embedding_dim` floats as the graph computed them; the executor
  // checks their norms. Called at most once.
  virtual Result<std::vector<float>> Finish() = 0;
};

// One implementation per backend. Only the executor's thread begins runs and calls their functions. It passes
// at most the signature's largest batch, clips of its shape and rows of at least one token, and keeps them
// alive until the run is destroyed.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineSignature& signature() const = 0;
  virtual const EngineInfo& info() const = 0;
  // The ordinal of the GPU whose memory clips may lie in; nullopt for host memory only.
  virtual std::optional<int> device() const { return std::nullopt; }
  // The number of lanes of a tower, >= 1: how many of its runs may be in flight at a time.
  virtual int lanes(Tower /*tower*/) const { return 1; }
  // Called once, before the first run. An engine whose runs go on after Begin sets `wake` at the end of each,
  // from any thread, also while the executor is being destroyed.
  virtual void SetWake(const std::shared_ptr<Wake>& /*wake*/) {}

  virtual Result<std::unique_ptr<EngineRun>> BeginVideo(std::span<const ClipPtr> clips,
                                                        CancelToken& cancel) = 0;
  // Rows may differ in length: the engine pads them and masks the padding.
  virtual Result<std::unique_ptr<EngineRun>> BeginText(std::span<const TokenRow> rows,
                                                       CancelToken& cancel) = 0;
};

}  // namespace cosmos
