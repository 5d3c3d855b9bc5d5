#include "napi/clip.h"

#include <algorithm>
#include <cstdint>

namespace cosmos {

std::vector<Napi::ClassPropertyDescriptor<NativeClip>> NativeClip::Members() {
  return {
      InstanceAccessor<&NativeClip::Frames>("frames", napi_enumerable),
      InstanceAccessor<&NativeClip::Height>("height", napi_enumerable),
      InstanceAccessor<&NativeClip::Width>("width", napi_enumerable),
      InstanceAccessor<&NativeClip::ByteLength>("byteLength", napi_enumerable),
      InstanceMethod<&NativeClip::ToBytes>("toBytes"),
      InstanceMethod<&NativeClip::JsRelease>("release"),
  };
}

NativeClip::NativeClip(const Napi::CallbackInfo& info) : Wrapped(info) {
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(),
                                               static_cast<std::int64_t>(payload_->shape().bytes()));
}

void NativeClip::Release(Napi::Env env) {
  if (!payload_) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<std::int64_t>(payload_->shape().bytes()));
  payload_.reset();
}

ClipPtr NativeClip::From(const Arg& arg) {
  if (!Is(arg.value())) arg.Fail("a NativeClip");
  ClipPtr clip = Unwrap(arg.value().As<Napi::Object>())->payload_;
  if (!clip) arg.Fail("a NativeClip that still has its pixels", "one that was released");
  return clip;
}

const Clip& NativeClip::Used(const Napi::CallbackInfo& info) const {
  if (!payload_) ThrowInvalid(info.Env(), kName, "it was released and cannot be used any more");
  return *payload_;
}

Napi::Value NativeClip::Frames(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Used(info).shape().frames);
}

Napi::Value NativeClip::Height(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Used(info).shape().height);
}

Napi::Value NativeClip::Width(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Used(info).shape().width);
}

Napi::Value NativeClip::ByteLength(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Used(info).shape().bytes()));
}

Napi::Value NativeClip::ToBytes(const Napi::CallbackInfo& info) {
  const Clip& clip = Used(info);
  auto bytes = Napi::Uint8Array::New(info.Env(), clip.shape().bytes());
  std::copy_n(clip.data(), clip.shape().bytes(), bytes.Data());
  return {info.Env(), bytes};
}

}  // namespace cosmos
