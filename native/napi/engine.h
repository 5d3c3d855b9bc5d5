// NativeEngine: the JavaScript object that holds an Executor. Binds createEngine and probeOnnxRuntime.
#pragma once

#include <memory>
#include <vector>

#include "engine/executor.h"
#include "napi/wrap.h"

namespace cosmos {

class NativeEngine : public Wrapped<NativeEngine, std::shared_ptr<Executor>> {
 public:
  static constexpr napi_type_tag kTag{0x2e91c05d7fa3486b, 0xa6d8137b54e2f09c};
  static constexpr const char* kName = "NativeEngine";
  static std::vector<Napi::ClassPropertyDescriptor<NativeEngine>> Members();

  explicit NativeEngine(const Napi::CallbackInfo& info);
  // Called when this is collected without close(). Nothing runs then: a job in flight references this object.
  void Finalize(Napi::Env) override { queue_->DestroyInBackground(std::move(payload_)); }

 private:
  Napi::Value EncodeVideo(const Napi::CallbackInfo& info);
  Napi::Value EncodeText(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  template <typename Input>
  Napi::Value Encode(const Napi::CallbackInfo& info, Input input);
  void RequireOpen(Napi::Env env) const;

  std::shared_ptr<JsTaskQueue> queue_;
  Napi::ObjectReference closing_;  // the promise of the first close()
};

Napi::Value CreateEngine(const Napi::CallbackInfo& info);
Napi::Value ProbeOnnxRuntime(const Napi::CallbackInfo& info);

}  // namespace cosmos
