// NativeSegmentReader: the JavaScript object that holds a ClipReader.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "media/clip_reader.h"
#include "napi/wrap.h"

namespace cosmos {

// Shares the reader with the job that runs next(), so closing or collecting this object never frees it while
// a worker uses it.
class NativeSegmentReader : public Wrapped<NativeSegmentReader, std::shared_ptr<ClipReader>> {
 public:
  static constexpr napi_type_tag kTag{0x51f0a7c93be84d26, 0x8b7441d2e6c90f35};
  static constexpr const char* kName = "NativeSegmentReader";
  static std::vector<Napi::ClassPropertyDescriptor<NativeSegmentReader>> Members();

  explicit NativeSegmentReader(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env) override { queue_->DestroyInBackground(std::move(payload_)); }

 private:
  Napi::Value Next(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<JsTaskQueue> queue_;
  std::uint64_t job_ = 0;  // of the last next()
};

}  // namespace cosmos
