#include "onnxruntime/onnx_engine.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <mutex>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/half.h"
#include "engine/threaded_engine.h"
#include "onnxruntime/graph.h"
#include "onnxruntime/library.h"

namespace cosmos {
namespace {

using ort::Api;
using ort::Library;

// A tensor over one of the engine's buffers, for one run.
struct InputTensor {
  const char* name;
  ElementType type;
  std::span<std::byte> bytes;
  std::vector<std::int64_t> dims;
};

// The time between two operations of a graph that run in several threads, so that threads need not be woken
// for each of them. Where other programs want the cores, longer waits delay the very threads that are waited
// for.
constexpr const char* kSpinMicroseconds = "5";

// Gives freed memory, which glibc keeps for later, back to the system. By one thread at a time: where another
// allocator replaces glibc's (jemalloc, AddressSanitizer), the first call initialises that of glibc, and a
// call beside it would read a heap that is half initialised and crash.
void TrimHeap() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  malloc_trim(0);
}

Result<ort::SessionHandle> CreateSession(Library& library, const OnnxOptions& options,
                                         const std::string& path) {
  const Api& api = library.api();
  const std::string doing = "ONNX Runtime " + library.version() + " cannot load " + path;
  COSMOS_ASSIGN_OR_RETURN(auto handle, library.Make<ort::SessionOptionsHandle>(StatusCode::kModel, doing,
                                                                               api.CreateSessionOptions));
  ort::SessionOptions* session_options = handle.get();
  const auto check = [&](ort::OrtStatus* status) { return library.Check(status, StatusCode::kModel, doing); };
  // Never 0: ONNX Runtime would pin one thread to each core, where it competes with decoders.
  const int threads = options.intra_op_threads > 0 ? options.intra_op_threads
                                                   : static_cast<int>(std::thread::hardware_concurrency());
  COSMOS_RETURN_IF_ERROR(check(api.SetIntraOpNumThreads(session_options, std::max(threads, 1))));
  COSMOS_RETURN_IF_ERROR(check(api.AddSessionConfigEntry(session_options, "session.intra_op.allow_spinning",
                                                         options.spinning.value_or(true) ? "1" : "0")));
  if (!options.spinning) {
    COSMOS_RETURN_IF_ERROR(check(
        api.AddSessionConfigEntry(session_options, "session.intra_op.spin_duration_us", kSpinMicroseconds)));
    // For versions that do not know that entry: their threads at least sleep between runs.
    COSMOS_RETURN_IF_ERROR(
        check(api.AddSessionConfigEntry(session_options, "session.force_spinning_stop", "1")));
  }
  COSMOS_RETURN_IF_ERROR(
      check((options.memory_pattern ? api.EnableMemPattern : api.DisableMemPattern)(session_options)));
  COSMOS_RETURN_IF_ERROR(
      check((options.memory_arena ? api.EnableCpuMemArena : api.DisableCpuMemArena)(session_options)));
  if (options.memory_arena && library.memory() != nullptr) {
    COSMOS_RETURN_IF_ERROR(
        check(api.AddSessionConfigEntry(session_options, "session.use_env_allocators", "1")));
  }
  COSMOS_RETURN_IF_ERROR(
      check(api.SetSessionGraphOptimizationLevel(session_options, ort::Optimization::kAll)));
  // The arena grows in powers of two and keeps the weights that were repacked for the processor.
  COSMOS_RETURN_IF_ERROR(check(
      api.AddSessionConfigEntry(session_options, "session.use_device_allocator_for_initializers", "1")));
  // Processors without VNNI otherwise add two 8-bit products in 16 bits and cut off what does not fit: the
  // vectors of an int8 bundle would depend on the machine.
  COSMOS_RETURN_IF_ERROR(check(api.AddSessionConfigEntry(session_options, "session.x64quantprecision", "1")));
  auto session = library.Make<ort::SessionHandle>(StatusCode::kModel, doing, [&](ort::Session** out) {
    return api.CreateSession(library.env(), path.c_str(), session_options, out);
  });
  if (!session.ok()) return session.TakeStatus().With("file", path);
  return session;
}

// uint8 [T,3,H,W] to float32 [3,T,H,W] in 0..1.
void ToTao(const Clip& clip, float* dst) {
  const ClipShape& shape = clip.shape();
  const std::size_t plane = std::size_t{1} * shape.height * shape.width;
  for (int channel = 0; channel < 3; ++channel) {
    for (int frame = 0; frame < shape.frames; ++frame) {
      const std::uint8_t* src = clip.frame(frame) + plane * channel;
      for (std::size_t i = 0; i < plane; ++i) dst[i] = static_cast<float>(src[i]) / 255.0F;
      dst += plane;
    }
  }
}

class OnnxEngine final : public ThreadedEngine {
 public:
  OnnxEngine(Library& library, const OnnxOptions& options, ort::MemoryInfoHandle memory)
      : ThreadedEngine(options.text_lanes),
        library_(library),
        pad_token_id_(options.pad_token_id),
        memory_(std::move(memory)) {
    signature_.clip = options.model.clip;
    signature_.embedding_dim = options.model.embedding_dim;
    info_ = {"onnxruntime", library.version(), library.path()};
  }

  ~OnnxEngine() override {
    video_session_.reset();
    text_session_.reset();
    if (library_.memory() != nullptr) library_.memory()->Shrink();
  }

  Status Load(const OnnxOptions& options);

  const EngineSignature& signature() const override { return signature_; }
  const EngineInfo& info() const override { return info_; }
  Result<std::vector<float>> EncodeVideo(std::span<const ClipPtr> clips, CancelToken& cancel) override;
  Result<std::vector<float>> EncodeText(std::span<const TokenRow> rows, CancelToken& cancel) override;

 private:
  Result<GraphSpec> Open(const OnnxOptions& options, const std::string& path, ort::SessionHandle& session);
  Result<std::vector<float>> Run(ort::Session& session, std::span<const InputTensor> inputs,
                                 const std::string& output, std::size_t rows, CancelToken& cancel);
  Result<std::vector<float>> ReadVectors(ort::Value& value, std::size_t rows);

  Library& library_;
  const std::int64_t pad_token_id_;
  const ort::MemoryInfoHandle memory_;  // describes the buffers below as host memory
  ort::SessionHandle video_session_;
  ort::SessionHandle text_session_;
  VideoGraph video_;
  TextGraph text_;
  EngineSignature signature_;
  EngineInfo info_;
  std::vector<std::byte> video_input_;  // kept between runs; grows to the largest batch
};

Status OnnxEngine::Load(const OnnxOptions& options) {
  // Both at once, because ONNX Runtime loads and optimises a graph on one thread.
  const auto open_text = [&] { return Open(options, options.text_path, text_session_); };
  std::future<Result<GraphSpec>> text_opened;
  try {
    text_opened = std::async(std::launch::async, open_text);
  } catch (const std::system_error&) {  // no thread can be started: one after the other
    text_opened = std::async(std::launch::deferred, open_text);
  }
  Result<GraphSpec> video_opened = Open(options, options.video_path, video_session_);
  Result<GraphSpec> text_result = text_opened.get();
  COSMOS_ASSIGN_OR_RETURN(auto video_graph, std::move(video_opened));
  COSMOS_ASSIGN_OR_RETURN(auto text_graph, std::move(text_result));
  TrimHeap();  // the parsed files were freed
  COSMOS_ASSIGN_OR_RETURN(auto video, MatchVideo(video_graph, options.model, options.video_path));
  COSMOS_ASSIGN_OR_RETURN(
      auto text, MatchText(text_graph, options.model, std::array{ElementType::kInt64}, options.text_path));
  video_ = std::move(video);
  text_ = std::move(text);
  signature_.max_video_batch = video_.max_batch;
  signature_.max_text_batch = text_.max_batch;
  signature_.video_form = video_.tao ? "tao" : "canonical";
  signature_.video_input = Describe(video_graph.inputs);
  signature_.text_input = Describe(text_graph.inputs);
  return {};
}

Result<GraphSpec> OnnxEngine::Open(const OnnxOptions& options, const std::string& path,
                                   ort::SessionHandle& session) {
  COSMOS_ASSIGN_OR_RETURN(session, CreateSession(library_, options, path));
  return ort::ReadGraph(library_, *session);
}

Result<std::vector<float>> OnnxEngine::EncodeVideo(std::span<const ClipPtr> clips, CancelToken& cancel) {
  const ClipShape& shape = signature_.clip;
  const std::size_t clip_bytes = shape.bytes() * (video_.tao ? sizeof(float) : 1);
  video_input_.resize(std::max(video_input_.size(), clip_bytes * clips.size()));
  std::byte* dst = video_input_.data();
  for (const ClipPtr& clip : clips) {
    if (video_.tao) {
      ToTao(*clip, reinterpret_cast<float*>(dst));
    } else {
      std::memcpy(dst, clip->data(), clip_bytes);
    }
    dst += clip_bytes;
  }
  const auto batch = static_cast<std::int64_t>(clips.size());
  const std::array inputs = {InputTensor{
      video_.input.c_str(),
      video_.tao ? ElementType::kFloat32 : ElementType::kUint8,
      std::span(video_input_).first(clip_bytes * clips.size()),
      video_.tao ? std::vector<std::int64_t>{batch, 3, shape.frames, shape.height, shape.width}
                 : std::vector<std::int64_t>{batch, shape.frames, 3, shape.height, shape.width},
  }};
  return Run(*video_session_, inputs, video_.output, clips.size(), cancel);
}

Result<std::vector<float>> OnnxEngine::EncodeText(std::span<const TokenRow> rows, CancelToken& cancel) {
  std::size_t length = text_.length;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (text_.length != 0 && rows[i].size() > length) {
      return Status(StatusCode::kInvalidArgument,
                    "token row " + std::to_string(i) + " has " + std::to_string(rows[i].size()) +
                        " tokens; the text graph takes at most " + std::to_string(length))
          .With("index", static_cast<double>(i))
          .With("limit", static_cast<double>(length));
    }
    length = std::max(length, rows[i].size());
  }
  std::vector<std::int64_t> tokens(rows.size() * length, pad_token_id_);
  std::vector<std::int64_t> mask(rows.size() * length, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy(rows[i].begin(), rows[i].end(), tokens.data() + i * length);
    std::fill_n(mask.data() + i * length, rows[i].size(), 1);
  }
  const std::vector<std::int64_t> dims = {static_cast<std::int64_t>(rows.size()),
                                          static_cast<std::int64_t>(length)};
  const std::array inputs = {
      InputTensor{"input_ids", ElementType::kInt64, std::as_writable_bytes(std::span(tokens)), dims},
      InputTensor{"attention_mask", ElementType::kInt64, std::as_writable_bytes(std::span(mask)), dims}};
  return Run(*text_session_, inputs, text_.output, rows.size(), cancel);
}

Result<std::vector<float>> OnnxEngine::Run(ort::Session& session, std::span<const InputTensor> inputs,
                                           const std::string& output, std::size_t rows, CancelToken& cancel) {
  const Api& api = library_.api();
  constexpr std::string_view kDoing = "ONNX Runtime failed";
  COSMOS_ASSIGN_OR_RETURN(
      auto options, library_.Make<ort::RunOptionsHandle>(StatusCode::kEngine, kDoing, api.CreateRunOptions));

  std::vector<ort::ValueHandle> values;
  std::vector<const char*> names;
  std::vector<const ort::Value*> pointers;
  for (const InputTensor& input : inputs) {
    auto value = library_.Make<ort::ValueHandle>(StatusCode::kEngine, kDoing, [&](ort::Value** out) {
      return api.CreateTensorWithDataAsOrtValue(memory_.get(), input.bytes.data(), input.bytes.size(),
                                                input.dims.data(), input.dims.size(), input.type, out);
    });
    if (!value.ok()) return value.TakeStatus();
    names.push_back(input.name);
    pointers.push_back(value->get());
    values.push_back(std::move(value).value());
  }

  const char* output_name = output.c_str();
  Result<ort::ValueHandle> result = [&] {
    // The runtime checks the flag between any two nodes, also inside loops.
    const CancelToken::Listener terminate(cancel, [&] {
      std::ignore =
          library_.Check(api.RunOptionsSetTerminate(options.get()), StatusCode::kInternal, "cancelling");
    });
    return library_.Make<ort::ValueHandle>(StatusCode::kEngine, kDoing, [&](ort::Value** out) {
      return api.Run(&session, options.get(), names.data(), pointers.data(), names.size(), &output_name, 1,
                     out);
    });
  }();
  if (cancel.cancelled()) return Status(StatusCode::kCancelled, "the run was cancelled");
  if (!result.ok()) return result.TakeStatus();
  return ReadVectors(*result.value(), rows);
}

Result<std::vector<float>> OnnxEngine::ReadVectors(ort::Value& value, std::size_t rows) {
  const Api& api = library_.api();
  constexpr std::string_view kDoing = "ONNX Runtime's output cannot be read";
  auto info = library_.Make<ort::TensorInfoHandle>(StatusCode::kEngine, kDoing, [&](ort::TensorInfo** out) {
    return api.GetTensorTypeAndShape(&value, out);
  });
  if (!info.ok()) return info.TakeStatus();
  COSMOS_ASSIGN_OR_RETURN(auto spec, ort::ReadTensor(library_, *info.value()));
  const std::vector<std::int64_t> expected = {static_cast<std::int64_t>(rows), signature_.embedding_dim};
  if (spec.dims != expected) {
    return Status(StatusCode::kEngine, "the graph returned" + Describe(spec) + " for " +
                                           std::to_string(rows) + " rows of " +
                                           std::to_string(signature_.embedding_dim));
  }
  void* data = nullptr;
  COSMOS_RETURN_IF_ERROR(
      library_.Check(api.GetTensorMutableData(&value, &data), StatusCode::kEngine, kDoing));
  std::vector<float> vectors(rows * signature_.embedding_dim);
  if (spec.type == ElementType::kFloat16) {
    const auto* halves = static_cast<const std::uint16_t*>(data);
    std::transform(halves, halves + vectors.size(), vectors.begin(), HalfToFloat);
  } else {
    std::memcpy(vectors.data(), data, vectors.size() * sizeof(float));
  }
  return vectors;
}

}  // namespace

Result<std::unique_ptr<Engine>> CreateOnnxEngine(const OnnxOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(auto library, Library::Open(options.library));
  Library& runtime = *library;
  auto memory = runtime.Make<ort::MemoryInfoHandle>(
      StatusCode::kLibrary, "ONNX Runtime cannot describe host memory", [&](ort::MemoryInfo** out) {
        return runtime.api().CreateCpuMemoryInfo(ort::AllocatorKind::kDevice, ort::MemoryKind::kDefault, out);
      });
  if (!memory.ok()) return memory.TakeStatus();
  auto engine = std::make_unique<OnnxEngine>(runtime, options, std::move(memory).value());
  COSMOS_RETURN_IF_ERROR(engine->Load(options));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace cosmos
