#include "tensorrt/tensorrt_engine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tensorrt/library.h"
#include "tensorrt/loaded_plan.h"

namespace cosmos {
namespace {

using trt::Lane;
using trt::LoadedPlan;

// Rows are padded to a multiple of this length, so that shapes repeat and their CUDA graphs can be replayed.
constexpr int kLengthStep = 8;

// A run on a lane; frees the lane when destroyed.
class LaneRun final : public EngineRun {
 public:
  LaneRun(const cuda::Device& device, Lane& lane, std::size_t rows)
      : device_(device), lane_(lane), rows_(rows) {
    lane_.set_busy(true);
  }
  ~LaneRun() override {
    if (!finished_ && device_.MakeCurrent().ok()) lane_.Drain();
    lane_.set_busy(false);
  }

  bool Ready() override { return !device_.MakeCurrent().ok() || lane_.Poll(); }

  Result<std::vector<float>> Finish() override {
    COSMOS_RETURN_IF_ERROR(device_.MakeCurrent());
    COSMOS_RETURN_IF_ERROR(lane_.Wait());
    finished_ = true;
    return lane_.Rows(rows_);
  }

 private:
  const cuda::Device& device_;
  Lane& lane_;
  const std::size_t rows_;
  bool finished_ = false;
};

class TensorRtEngine final : public Engine {
 public:
  TensorRtEngine(trt::Library& library, const cuda::Device& device,
                 std::shared_ptr<const cuda::Preprocessor> preprocessor, const TensorRtOptions& options)
      : library_(library),
        device_(device),
        preprocessor_(std::move(preprocessor)),
        pad_token_id_(options.pad_token_id) {
    signature_.clip = options.model.clip;
    signature_.embedding_dim = options.model.embedding_dim;
    info_ = {"tensorrt", library.version().text(), library.path()};
  }

  Status LoadVideo(const TensorRtOptions& options);
  Status LoadText(const TensorRtOptions& options);

  const EngineSignature& signature() const override { return signature_; }
  const EngineInfo& info() const override { return info_; }
  std::optional<int> device() const override { return device_.info().ordinal; }
  int lanes(Tower tower) const override {
    return (tower == Tower::kVideo ? video_plan_ : text_plan_)->lanes();
  }
  void SetWake(const std::shared_ptr<Wake>& wake) override {
    video_plan_->SetWake(wake);
    text_plan_->SetWake(wake);
  }
  Result<std::unique_ptr<EngineRun>> BeginVideo(std::span<const ClipPtr> clips, CancelToken& cancel) override;
  Result<std::unique_ptr<EngineRun>> BeginText(std::span<const TokenRow> rows, CancelToken& cancel) override;

 private:
  // Calls `queue(lane)` with a free lane, then queues the download. After a failure the lane's stream is
  // idle.
  template <typename Queue>
  Result<std::unique_ptr<EngineRun>> Begin(LoadedPlan& plan, std::size_t rows, CancelToken& cancel,
                                           Queue queue);
  Status QueueClips(Lane& lane, std::span<const ClipPtr> clips);
  Status QueueRows(Lane& lane, std::span<const TokenRow> rows);
  template <typename Integer>
  void WriteRows(Lane& lane, std::span<const TokenRow> rows, std::size_t tokens, std::size_t length) const;

  trt::Library& library_;
  const cuda::Device& device_;
  const std::shared_ptr<const cuda::Preprocessor> preprocessor_;
  const std::int64_t pad_token_id_;
  EngineSignature signature_;
  EngineInfo info_;
  std::unique_ptr<LoadedPlan> video_plan_;
  std::unique_ptr<LoadedPlan> text_plan_;
  bool tao_ = false;
  trt::Range video_range_;  // of "videos"
  trt::Range text_range_;   // of both inputs: [B, S]
  ElementType token_type_{};
  std::size_t ids_ = 0;  // index of the input "input_ids"; the mask is the other one
};

Status TensorRtEngine::LoadVideo(const TensorRtOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(video_plan_,
                          LoadedPlan::Load(library_, device_, options.video_path, options.host_code));
  const GraphSpec& graph = video_plan_->graph();
  COSMOS_ASSIGN_OR_RETURN(auto match, MatchVideo(graph, options.model, options.video_path));
  const int lanes = video_plan_->CountLanes(options.contexts);
  tao_ = match.tao;
  // A plan may have more dynamic dimensions than the batch, but the model's clips have a fixed shape.
  TensorSpec batch = graph.inputs[0];
  const auto& [frames, height, width] = options.model.clip;
  batch.dims = {batch.dims[0], frames, 3, height, width};
  if (tao_) std::swap(batch.dims[1], batch.dims[2]);
  COSMOS_ASSIGN_OR_RETURN(video_range_, video_plan_->RangeOf(std::span(&batch, 1), lanes));
  signature_.max_video_batch = static_cast<int>(video_range_.max[0]);
  signature_.video_form = tao_ ? "tao" : "canonical";
  signature_.video_input = Describe(graph.inputs);

  const std::size_t clips = signature_.clip.bytes() * static_cast<std::size_t>(video_range_.max[0]);
  trt::LaneOptions lane;
  lane.max = {video_range_.max};
  lane.output = match.output;
  lane.embedding_dim = options.model.embedding_dim;
  lane.staging = {clips};
  lane.scratch = tao_ ? clips : 0;
  lane.graphs = options.graphs;
  return video_plan_->MakeLanes(lanes, lane);
}

Status TensorRtEngine::LoadText(const TensorRtOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(text_plan_,
                          LoadedPlan::Load(library_, device_, options.text_path, options.host_code));
  const GraphSpec& graph = text_plan_->graph();
  COSMOS_ASSIGN_OR_RETURN(
      auto match, MatchText(graph, options.model, std::array{ElementType::kInt64, ElementType::kInt32},
                            options.text_path));
  const int lanes = text_plan_->CountLanes(options.contexts);
  ids_ = graph.inputs[0].name == "input_ids" ? 0 : 1;
  token_type_ = match.type;
  COSMOS_ASSIGN_OR_RETURN(text_range_, text_plan_->RangeOf(graph.inputs, lanes));
  signature_.max_text_batch = static_cast<int>(text_range_.max[0]);
  signature_.text_length_step = kLengthStep;
  signature_.text_input = Describe(graph.inputs);

  const std::size_t bytes = static_cast<std::size_t>(text_range_.max[0] * text_range_.max[1]) *
                            (token_type_ == ElementType::kInt64 ? 8 : 4);
  trt::LaneOptions lane;
  lane.max = {text_range_.max, text_range_.max};
  lane.output = match.output;
  lane.embedding_dim = options.model.embedding_dim;
  lane.staging = {bytes, bytes};
  lane.graphs = options.graphs;
  return text_plan_->MakeLanes(lanes, lane);
}

template <typename Queue>
Result<std::unique_ptr<EngineRun>> TensorRtEngine::Begin(LoadedPlan& plan, std::size_t rows,
                                                         CancelToken& cancel, Queue queue) {
  // Checked before queueing: the device cannot stop a run that it has begun.
  if (cancel.cancelled()) return Status(StatusCode::kCancelled, "the run was cancelled before it began");
  COSMOS_RETURN_IF_ERROR(device_.MakeCurrent());
  Lane* lane = plan.FreeLane();
  if (lane == nullptr) return Status(StatusCode::kInternal, "more runs in flight than the engine has lanes");
  // Drains the lane if it is destroyed on an early return.
  auto run = std::make_unique<LaneRun>(device_, *lane, rows);
  COSMOS_RETURN_IF_ERROR(queue(*lane));
  COSMOS_RETURN_IF_ERROR(lane->Download(rows));
  return std::unique_ptr<EngineRun>(std::move(run));
}

Result<std::unique_ptr<EngineRun>> TensorRtEngine::BeginVideo(std::span<const ClipPtr> clips,
                                                              CancelToken& cancel) {
  return Begin(*video_plan_, clips.size(), cancel, [&](Lane& lane) { return QueueClips(lane, clips); });
}

Status TensorRtEngine::QueueClips(Lane& lane, std::span<const ClipPtr> clips) {
  const ClipShape& shape = signature_.clip;
  const std::size_t bytes = shape.bytes();
  for (std::size_t i = 0; i < clips.size(); ++i) {
    const DevicePixels* pixels = clips[i]->device_pixels();
    CUdeviceptr clip = (tao_ ? lane.scratch() : lane.input(0)) + i * bytes;
    if (pixels == nullptr) {
      std::byte* staging = lane.staging(0) + i * bytes;
      std::memcpy(staging, clips[i]->data(), bytes);
      COSMOS_RETURN_IF_ERROR(lane.Upload(clip, staging, bytes));
    } else if (tao_) {
      clip = pixels->address();
    } else {
      COSMOS_RETURN_IF_ERROR(
          device_.Check(device_.api().MemcpyDtoDAsync(clip, pixels->address(), bytes, lane.stream()),
                        "cannot copy a clip into its batch"));
    }
    if (!tao_) continue;
    COSMOS_RETURN_IF_ERROR(preprocessor_->ToTao(clip, lane.input(0) + i * bytes * sizeof(float), shape.frames,
                                                shape.height, shape.width, lane.stream()));
  }
  // Where a profile requires a larger batch, the additional rows are uninitialised; their output is not used.
  std::vector<std::int64_t> dims = video_range_.max;
  dims[0] = std::max(static_cast<std::int64_t>(clips.size()), video_range_.min[0]);
  return lane.Launch({std::move(dims)});
}

Result<std::unique_ptr<EngineRun>> TensorRtEngine::BeginText(std::span<const TokenRow> rows,
                                                             CancelToken& cancel) {
  return Begin(*text_plan_, rows.size(), cancel, [&](Lane& lane) { return QueueRows(lane, rows); });
}

Status TensorRtEngine::QueueRows(Lane& lane, std::span<const TokenRow> rows) {
  const std::int64_t limit = text_range_.max[1];
  std::int64_t length = text_range_.min[1];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto size = static_cast<std::int64_t>(rows[i].size());
    if (size > limit) {
      return Status(StatusCode::kInvalidArgument,
                    "token row " + std::to_string(i) + " has " + std::to_string(size) +
                        " tokens; the text graph takes at most " + std::to_string(limit))
          .With("index", static_cast<double>(i))
          .With("limit", static_cast<double>(limit));
    }
    length = std::max(length, size);
  }
  length = std::min((length + kLengthStep - 1) / kLengthStep * kLengthStep, limit);
  const std::int64_t batch = std::max(static_cast<std::int64_t>(rows.size()), text_range_.min[0]);
  const auto tokens = static_cast<std::size_t>(batch * length);
  std::size_t bytes = 0;
  if (token_type_ == ElementType::kInt64) {
    bytes = tokens * sizeof(std::int64_t);
    WriteRows<std::int64_t>(lane, rows, tokens, static_cast<std::size_t>(length));
  } else {
    bytes = tokens * sizeof(std::int32_t);
    WriteRows<std::int32_t>(lane, rows, tokens, static_cast<std::size_t>(length));
  }
  for (const std::size_t input : {0, 1}) {
    COSMOS_RETURN_IF_ERROR(lane.Upload(lane.input(input), lane.staging(input), bytes));
  }
  return lane.Launch({{batch, length}, {batch, length}});
}

// Unmasks the first token of every row, including rows that only fill the batch: a mask of zeros would divide
// by zero.
template <typename Integer>
void TensorRtEngine::WriteRows(Lane& lane, std::span<const TokenRow> rows, std::size_t tokens,
                               std::size_t length) const {
  auto* ids = reinterpret_cast<Integer*>(lane.staging(ids_));
  auto* mask = reinterpret_cast<Integer*>(lane.staging(1 - ids_));
  std::fill_n(ids, tokens, static_cast<Integer>(pad_token_id_));
  for (std::size_t i = 0; i < tokens; ++i) mask[i] = i % length == 0 ? 1 : 0;
  for (const TokenRow& row : rows) {
    std::ranges::transform(row, ids, [](std::int64_t id) { return static_cast<Integer>(id); });
    std::fill_n(mask, row.size(), Integer{1});
    ids += length;
    mask += length;
  }
}

}  // namespace

Result<std::unique_ptr<Engine>> CreateTensorRtEngine(const cuda::Device& device,
                                                     std::shared_ptr<const cuda::Preprocessor> preprocessor,
                                                     const TensorRtOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(auto library, trt::Library::Open(options.library));
  COSMOS_RETURN_IF_ERROR(device.MakeCurrent());
  auto engine = std::make_unique<TensorRtEngine>(*library, device, std::move(preprocessor), options);
  COSMOS_RETURN_IF_ERROR(engine->LoadVideo(options));
  COSMOS_RETURN_IF_ERROR(engine->LoadText(options));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace cosmos
