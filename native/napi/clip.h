// NativeClip: the JavaScript object that holds a Clip.
#pragma once

#include <vector>

#include "image/clip.h"
#include "napi/arg.h"
#include "napi/wrap.h"

namespace cosmos {

// Reports the size of the pixels to V8, so that clips which are dropped without release() are collected
// before memory runs short. A job that uses the clip shares the pixels and keeps them after release().
class NativeClip : public Wrapped<NativeClip, ClipPtr> {
 public:
  static constexpr napi_type_tag kTag{0x6c0b2d4f7a1e4c52, 0x9d3e5f8871a2b6c0};
  static constexpr const char* kName = "NativeClip";
  static std::vector<Napi::ClassPropertyDescriptor<NativeClip>> Members();

  explicit NativeClip(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override { Release(env); }

  // Returns the clip of a NativeClip; throws if the argument is not one or was released.
  static ClipPtr From(const Arg& arg);

 private:
  void Release(Napi::Env env);
  const Clip& Used(const Napi::CallbackInfo& info) const;

  Napi::Value Frames(const Napi::CallbackInfo& info);
  Napi::Value Height(const Napi::CallbackInfo& info);
  Napi::Value Width(const Napi::CallbackInfo& info);
  Napi::Value Device(const Napi::CallbackInfo& info);
  Napi::Value ByteLength(const Napi::CallbackInfo& info);
  Napi::Value ToBytes(const Napi::CallbackInfo& info);
  void JsRelease(const Napi::CallbackInfo& info) { Release(info.Env()); }
};

}  // namespace cosmos
