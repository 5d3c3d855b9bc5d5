// NativeGpu: the JavaScript object that holds a Gpu. Binds openGpu, probeGpu and probeTensorRt.
#pragma once

#include <memory>
#include <vector>

#include "media/nvdec/gpu.h"
#include "napi/arg.h"
#include "napi/wrap.h"

namespace cosmos {

// Jobs and engines share the Gpu, so closing or collecting this object never frees it while they use it.
class NativeGpu : public Wrapped<NativeGpu, std::shared_ptr<Gpu>> {
 public:
  static constexpr napi_type_tag kTag{0x93d17e0c46ab4f25, 0xb02c6a8f75d41e93};
  static constexpr const char* kName = "NativeGpu";
  static std::vector<Napi::ClassPropertyDescriptor<NativeGpu>> Members();

  explicit NativeGpu(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env) override { queue_->DestroyInBackground(std::move(payload_)); }

  // Returns the Gpu of a NativeGpu; throws if the argument is not one or was closed.
  static std::shared_ptr<Gpu> From(const Arg& arg);

 private:
  Napi::Value Stats(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<JsTaskQueue> queue_;
};

Napi::Value OpenGpu(const Napi::CallbackInfo& info);
Napi::Value ProbeGpu(const Napi::CallbackInfo& info);
Napi::Value ProbeTensorRt(const Napi::CallbackInfo& info);

}  // namespace cosmos
