#include "napi/decoder_pool.h"

#include <dlfcn.h>

#include <cstdint>
#include <string>
#include <utility>

#include "napi/error.h"

namespace cosmos {
namespace {

constexpr int kMaxIdle = 256;
constexpr int kMaxClips = 1'000'000;
constexpr std::int64_t kMaxSafeInteger = (std::int64_t{1} << 53) - 1;

// The executable lies beside the addon.
std::string PackagedExecutable() {
  Dl_info addon{};
  if (dladdr(reinterpret_cast<const void*>(&OpenDecoderPool), &addon) == 0 || !addon.dli_fname) return {};
  const std::string path = addon.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + "cosmos-embed-decoder";
}

DecoderOptions ReadOptions(const Arg& options) {
  DecoderOptions read{.executable = PackagedExecutable()};
  if (const Arg a = options["executable"]; a.present()) {
    read.executable = a.String();
    if (!read.executable.starts_with('/')) a.Fail("an absolute path");
  }
  read.max_bytes = options["maxBytes"].Integer(1, kMaxSafeInteger);
  read.idle = options["idle"].Int(1, kMaxIdle);
  if (const Arg a = options["clipsPerProcess"]; a.present()) read.clips_per_process = a.Int(1, kMaxClips);
  return read;
}

Napi::Value PoolToValue(Napi::Env env, std::shared_ptr<DecoderPool>&& pool) {
  return NativeDecoderPool::New(env, std::move(pool));
}

}  // namespace

std::vector<Napi::ClassPropertyDescriptor<NativeDecoderPool>> NativeDecoderPool::Members() {
  return {
      InstanceMethod<&NativeDecoderPool::Stats>("stats"),
      InstanceMethod<&NativeDecoderPool::Close>("close"),
  };
}

NativeDecoderPool::NativeDecoderPool(const Napi::CallbackInfo& info)
    : Wrapped(info), queue_(Environment::Of(info.Env()).queue()) {
  const Walls& found = payload_->walls();
  Napi::Object walls = Napi::Object::New(info.Env());
  walls.Set("systemCalls", found.system_calls);
  walls.Set("network", found.network);
  walls.Set("files", found.files);
  walls.Set("memory", found.memory);
  walls.Freeze();
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("walls", walls, napi_enumerable));
}

std::shared_ptr<DecoderPool> NativeDecoderPool::From(const Arg& arg) {
  if (!Is(arg.value())) arg.Fail("a NativeDecoderPool");
  std::shared_ptr<DecoderPool> pool = Unwrap(arg.value().As<Napi::Object>())->payload_;
  if (!pool) arg.Fail("a NativeDecoderPool that is open", "one that was closed");
  return pool;
}

Napi::Value NativeDecoderPool::Stats(const Napi::CallbackInfo& info) {
  if (!payload_) ThrowInvalid(info.Env(), kName, "it was closed and cannot be used any more");
  const DecoderPoolStats stats = payload_->stats();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("idle", stats.idle);
  object.Set("busy", stats.busy);
  object.Set("started", static_cast<double>(stats.started));
  object.Set("crashed", static_cast<double>(stats.crashed));
  object.Set("ended", static_cast<double>(stats.ended));
  object.Set("retired", static_cast<double>(stats.retired));
  return object;
}

void NativeDecoderPool::Close(const Napi::CallbackInfo& /*info*/) {
  queue_->DestroyInBackground(std::move(payload_));
}

Napi::Value OpenDecoderPool(const Napi::CallbackInfo& info) {
  const DecoderOptions options = ReadOptions(Arg(info[0], "options"));
  return RunOnPool(info.Env(), {},
                   [options](const CancelTokenPtr&) {
                     return ToOutcome<std::shared_ptr<DecoderPool>>(DecoderPool::Open(options), PoolToValue);
                   })
      .handle;
}

}  // namespace cosmos
