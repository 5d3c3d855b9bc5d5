#include "napi/diagnostics.h"

#include <string>
#include <vector>

#include "ffmpeg/capabilities.h"
#include "image/resize.h"

namespace cosmos {
namespace {

Napi::Array ToValue(Napi::Env env, const std::vector<std::string>& names) {
  const auto array = Napi::Array::New(env, names.size());
  for (std::uint32_t i = 0; i < names.size(); ++i) array.Set(i, names[i]);
  return array;
}

}  // namespace

Napi::Value Diagnostics(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const FfmpegCapabilities found = DescribeFfmpeg();
  Napi::Object ffmpeg = Napi::Object::New(env);
  ffmpeg.Set("avcodec", found.avcodec);
  ffmpeg.Set("avformat", found.avformat);
  ffmpeg.Set("license", found.license);
  ffmpeg.Set("configuration", found.configuration);
  ffmpeg.Set("demuxers", ToValue(env, found.demuxers));
  ffmpeg.Set("decoders", ToValue(env, found.decoders));

  Napi::Object diagnostics = Napi::Object::New(env);
  diagnostics.Set("version", COSMOS_VERSION);
  diagnostics.Set("napi", NAPI_VERSION);
#ifdef __clang__
  diagnostics.Set("compiler", "clang " __clang_version__);
#else
  diagnostics.Set("compiler", "gcc " __VERSION__);
#endif
  diagnostics.Set("simd", std::string(ResizeSimd()));
  diagnostics.Set("ffmpeg", ffmpeg);
  return diagnostics;
}

}  // namespace cosmos
