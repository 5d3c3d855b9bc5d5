#include "napi/clip.h"

#include <cstdint>

namespace cosmos {
namespace {

// The external memory to report to V8; GPU memory does not count.
std::int64_t HostBytes(const Clip& clip) {
  return clip.device_pixels() ? 0 : static_cast<std::int64_t>(clip.shape().bytes());
}

}  // namespace

std::vector<Napi::ClassPropertyDescriptor<NativeClip>> NativeClip::Members() {
  return {
      InstanceAccessor<&NativeClip::Frames>("frames", napi_enumerable),
      InstanceAccessor<&NativeClip::Height>("height", napi_enumerable),
      InstanceAccessor<&NativeClip::Width>("width", napi_enumerable),
      InstanceAccessor<&NativeClip::Device>("device", napi_enumerable),
      InstanceAccessor<&NativeClip::ByteLength>("byteLength", napi_enumerable),
      InstanceMethod<&NativeClip::ToBytes>("toBytes"),
      InstanceMethod<&NativeClip::JsRelease>("release"),
  };
}

NativeClip::NativeClip(const Napi::CallbackInfo& info) : Wrapped(info) {
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), HostBytes(*payload_));
}

void NativeClip::Release(Napi::Env env) {
  if (!payload_) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, -HostBytes(*payload_));
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

Napi::Value NativeClip::Device(const Napi::CallbackInfo& info) {
  const DevicePixels* pixels = Used(info).device_pixels();
  if (!pixels) return Napi::String::New(info.Env(), "cpu");
  return Napi::Number::New(info.Env(), pixels->device());
}

Napi::Value NativeClip::ByteLength(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Used(info).shape().bytes()));
}

Napi::Value NativeClip::ToBytes(const Napi::CallbackInfo& info) {
  const Clip& clip = Used(info);
  auto bytes = Napi::Uint8Array::New(info.Env(), clip.shape().bytes());
  if (Status status = clip.CopyTo(bytes.Data()); !status.ok()) Throw(info.Env(), status);
  return {info.Env(), bytes};
}

}  // namespace cosmos
