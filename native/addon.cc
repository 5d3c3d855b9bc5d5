// The addon's exports: exactly those that lib/binding.d.ts declares.
#include "napi/decode.h"
#include "napi/decoder_pool.h"
#include "napi/diagnostics.h"
#include "napi/engine.h"
#include "napi/environment.h"
#include "napi/gpu.h"
#include "napi/image.h"
#include "napi/node.h"
#include "napi/search.h"
#include "napi/vector.h"

namespace cosmos {
namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  exports.Set("decodeClip", Napi::Function::New<DecodeClip>(env, "decodeClip"));
  exports.Set("openSegments", Napi::Function::New<OpenSegments>(env, "openSegments"));
  exports.Set("createEngine", Napi::Function::New<CreateEngine>(env, "createEngine"));
  exports.Set("probeOnnxRuntime", Napi::Function::New<ProbeOnnxRuntime>(env, "probeOnnxRuntime"));
  exports.Set("probeTensorRt", Napi::Function::New<ProbeTensorRt>(env, "probeTensorRt"));
  exports.Set("probeGpu", Napi::Function::New<ProbeGpu>(env, "probeGpu"));
  exports.Set("openGpu", Napi::Function::New<OpenGpu>(env, "openGpu"));
  exports.Set("openDecoderPool", Napi::Function::New<OpenDecoderPool>(env, "openDecoderPool"));
  exports.Set("resizeRgb", Napi::Function::New<ResizeRgb>(env, "resizeRgb"));
  exports.Set("nearest", Napi::Function::New<NearestVectors>(env, "nearest"));
  exports.Set("vectorToJson", Napi::Function::New<VectorToJson>(env, "vectorToJson"));
  exports.Set("diagnostics", Napi::Function::New<Diagnostics>(env, "diagnostics"));
  return exports;
}

}  // namespace
}  // namespace cosmos

using cosmos::Init;
NODE_API_MODULE(cosmos_embed, Init)
