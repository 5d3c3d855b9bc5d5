#include "napi/engine.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "napi/clip.h"
#include "napi/gpu.h"
#include "onnxruntime/library.h"
#include "onnxruntime/onnx_engine.h"
#include "tensorrt/tensorrt_engine.h"

namespace cosmos {
namespace {

constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr std::uint32_t kMaxItems = 65536;  // per call: bounds how long the JavaScript thread reads arguments

std::uint32_t Count(const Arg& items) {
  const std::uint32_t count = items.Length(1);
  if (count > kMaxItems) items.Fail("an array of at most " + std::to_string(kMaxItems));
  return count;
}

std::vector<ClipPtr> ReadClips(const Arg& items) {
  std::vector<ClipPtr> clips(Count(items));
  for (std::uint32_t i = 0; i < clips.size(); ++i) clips[i] = NativeClip::From(items[i]);
  return clips;
}

TokenRow ReadRow(const Arg& arg) {
  const bool ids =
      arg.value().IsTypedArray() && arg.value().As<Napi::TypedArray>().TypedArrayType() == napi_int32_array;
  if (!ids) arg.Fail("an Int32Array of at least one token id");
  const auto array = arg.value().As<Napi::Int32Array>();
  const std::span row(array.Data(), array.ElementLength());
  if (row.empty()) arg.Fail("an Int32Array of at least one token id", "an empty one");
  if (const auto negative = std::find_if(row.begin(), row.end(), [](std::int32_t id) { return id < 0; });
      negative != row.end()) {
    arg.Fail("token ids of 0 or more", std::to_string(*negative));
  }
  return {row.begin(), row.end()};
}

std::vector<TokenRow> ReadRows(const Arg& items) {
  std::vector<TokenRow> rows(Count(items));
  for (std::uint32_t i = 0; i < rows.size(); ++i) rows[i] = ReadRow(items[i]);
  return rows;
}

// Reads the options that all backends share.
template <typename Options>
Options ReadModelOptions(const Arg& options) {
  Options read;
  read.library = options["library"].String();
  if (!read.library.starts_with('/')) options["library"].Fail("an absolute path");
  read.video_path = options["video"].String();
  read.text_path = options["text"].String();
  read.model.clip.frames = options["frames"].Int(1, 64);
  read.model.clip.height = options["height"].Int(1, 4096);
  read.model.clip.width = options["width"].Int(1, 4096);
  read.model.embedding_dim = options["embeddingDim"].Int(1, 65536);
  read.pad_token_id = options["padTokenId"].Int(0, kIntMax);
  return read;
}

OnnxOptions ReadOnnxOptions(const Arg& options) {
  auto read = ReadModelOptions<OnnxOptions>(options);
  if (const Arg a = options["intraOpThreads"]; a.present()) read.intra_op_threads = a.Int(0, 1024);
  if (const Arg a = options["textLanes"]; a.present()) read.text_lanes = a.Int(1, 64);
  if (const Arg a = options["spinning"]; a.present()) read.spinning = a.Boolean();
  if (const Arg a = options["memoryPattern"]; a.present()) read.memory_pattern = a.Boolean();
  if (const Arg a = options["memoryArena"]; a.present()) read.memory_arena = a.Boolean();
  return read;
}

TensorRtOptions ReadTensorRtOptions(const Arg& options) {
  auto read = ReadModelOptions<TensorRtOptions>(options);
  if (const Arg a = options["contexts"]; a.present()) read.contexts = a.Int(1, 2);
  if (const Arg a = options["graphs"]; a.present()) read.graphs = a.Boolean();
  if (const Arg a = options["hostCode"]; a.present()) read.host_code = a.Boolean();
  return read;
}

using MakeEngine = std::function<Result<std::unique_ptr<Engine>>()>;

// Reads the options of the backend that `options.backend` names.
MakeEngine ReadEngineOptions(const Arg& options) {
  const Arg backend = options["backend"];
  const std::string name = backend.String();
  if (name == "onnxruntime") return [read = ReadOnnxOptions(options)] { return CreateOnnxEngine(read); };
  if (name != "tensorrt") backend.Fail(R"("onnxruntime" or "tensorrt")");
  return [gpu = NativeGpu::From(options["gpu"]), read = ReadTensorRtOptions(options)] {
    // Aliases the GPU's shared_ptr: the engine keeps the GPU alive through its kernels.
    const std::shared_ptr<const cuda::Preprocessor> kernels(gpu, &gpu->preprocessor());
    return CreateTensorRtEngine(gpu->device(), kernels, read);
  };
}

Result<std::shared_ptr<Executor>> Create(const MakeEngine& make, const CancelToken& cancel) {
  COSMOS_ASSIGN_OR_RETURN(auto engine, make());
  if (cancel.cancelled()) return Status(StatusCode::kCancelled, "cancelled while the engine was created");
  return std::make_shared<Executor>(std::move(engine));
}

Napi::Object ToInfo(Napi::Env env, const Executor& executor) {
  const EngineInfo& engine = executor.info();
  const EngineSignature& model = executor.signature();
  Napi::Object info = Napi::Object::New(env);
  info.Set("backend", engine.backend);
  info.Set("version", engine.version);
  info.Set("library", engine.library);
  info.Set("frames", model.clip.frames);
  info.Set("height", model.clip.height);
  info.Set("width", model.clip.width);
  info.Set("embeddingDim", model.embedding_dim);
  info.Set("maxVideoBatch", model.max_video_batch);
  info.Set("maxTextBatch", model.max_text_batch);
  info.Set("textLengthStep", model.text_length_step);
  info.Set("videoLanes", executor.lanes(Tower::kVideo));
  info.Set("textLanes", executor.lanes(Tower::kText));
  info.Set("videoForm", model.video_form);
  info.Set("videoInput", model.video_input);
  info.Set("textInput", model.text_input);
  info.Freeze();
  return info;
}

Napi::Value EngineToValue(Napi::Env env, std::shared_ptr<Executor>&& executor) {
  return NativeEngine::New(env, std::move(executor));
}

Napi::Value VectorsToValue(Napi::Env env, std::vector<float>&& vectors) {
  auto array = Napi::Float32Array::New(env, vectors.size());
  std::copy(vectors.begin(), vectors.end(), array.Data());
  return {env, array};
}

}  // namespace

std::vector<Napi::ClassPropertyDescriptor<NativeEngine>> NativeEngine::Members() {
  return {
      InstanceMethod<&NativeEngine::EncodeVideo>("encodeVideo"),
      InstanceMethod<&NativeEngine::EncodeText>("encodeText"),
      InstanceMethod<&NativeEngine::Close>("close"),
  };
}

NativeEngine::NativeEngine(const Napi::CallbackInfo& info)
    : Wrapped(info), queue_(Environment::Of(info.Env()).queue()) {
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("info", ToInfo(info.Env(), *payload_), napi_enumerable));
}

Napi::Value NativeEngine::EncodeVideo(const Napi::CallbackInfo& info) {
  return Encode(info, ReadClips(Arg(info[0], "clips")));
}

Napi::Value NativeEngine::EncodeText(const Napi::CallbackInfo& info) {
  return Encode(info, ReadRows(Arg(info[0], "rows")));
}

template <typename Input>
Napi::Value NativeEngine::Encode(const Napi::CallbackInfo& info, Input input) {
  RequireOpen(info.Env());
  const NativeJob started = Environment::Of(info.Env()).NewJob(info.This().As<Napi::Object>());
  // Marks the job as running: the executor owns its queueing and completion.
  if (started.job->Start()) {
    payload_->Submit(
        {std::move(input), started.job->cancel(), [job = started.job](Result<std::vector<float>> vectors) {
           job->Finish(ToOutcome<std::vector<float>>(std::move(vectors), VectorsToValue));
         }});
  }
  return started.handle;
}

Napi::Value NativeEngine::Close(const Napi::CallbackInfo& info) {
  if (closing_.IsEmpty()) {
    const NativeJob closing = Environment::Of(info.Env()).NewJob(info.This().As<Napi::Object>());
    closing_ = Napi::Persistent(closing.handle.Get("promise").As<Napi::Object>());
    closing.job->Start();
    queue_->DestroyInBackground(std::move(payload_), [job = closing.job] {
      job->Finish(Outcome([](Napi::Env env) { return env.Undefined(); }));
    });
  }
  return closing_.Value();
}

void NativeEngine::RequireOpen(Napi::Env env) const {
  if (!payload_) ThrowInvalid(env, kName, "it was closed and cannot be used any more");
}

Napi::Value CreateEngine(const Napi::CallbackInfo& info) {
  const MakeEngine make = ReadEngineOptions(Arg(info[0], "options"));
  return RunOnPool(info.Env(), {},
                   [make](const CancelTokenPtr& cancel) {
                     return ToOutcome<std::shared_ptr<Executor>>(Create(make, *cancel), EngineToValue);
                   })
      .handle;
}

Napi::Value ProbeOnnxRuntime(const Napi::CallbackInfo& info) {
  auto library = ort::Library::Open(Arg(info[0], "library").String());
  if (!library.ok()) Throw(info.Env(), library.status());
  Napi::Object found = Napi::Object::New(info.Env());
  found.Set("version", library.value()->version());
  found.Set("buildInfo", std::string(library.value()->build_info()));
  return found;
}

}  // namespace cosmos
