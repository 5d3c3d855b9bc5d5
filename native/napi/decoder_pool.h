// NativeDecoderPool: the JavaScript object that holds a DecoderPool. Binds openDecoderPool.
#pragma once

#include <memory>
#include <vector>

#include "isolation/decoder_pool.h"
#include "napi/arg.h"
#include "napi/wrap.h"

namespace cosmos {

// Jobs and readers share the pool, so closing or collecting this object never ends a process that they use.
class NativeDecoderPool : public Wrapped<NativeDecoderPool, std::shared_ptr<DecoderPool>> {
 public:
  static constexpr napi_type_tag kTag{0x2f6d9b1c74e84a03, 0xa15c3be0d7924f68};
  static constexpr const char* kName = "NativeDecoderPool";
  static std::vector<Napi::ClassPropertyDescriptor<NativeDecoderPool>> Members();

  explicit NativeDecoderPool(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env) override { queue_->DestroyInBackground(std::move(payload_)); }

  // Returns the pool of a NativeDecoderPool; throws if the argument is not one or was closed.
  static std::shared_ptr<DecoderPool> From(const Arg& arg);

 private:
  Napi::Value Stats(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<JsTaskQueue> queue_;
};

Napi::Value OpenDecoderPool(const Napi::CallbackInfo& info);

}  // namespace cosmos
