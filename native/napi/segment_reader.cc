#include "napi/segment_reader.h"

#include <optional>
#include <utility>

#include "napi/media_convert.h"

namespace cosmos {
namespace {

Napi::Value ClipOrNull(Napi::Env env, std::optional<DecodedClip>&& clip) {
  return clip ? ToValue(env, *std::move(clip)) : env.Null();
}

}  // namespace

std::vector<Napi::ClassPropertyDescriptor<NativeSegmentReader>> NativeSegmentReader::Members() {
  return {
      InstanceMethod<&NativeSegmentReader::Next>("next"),
      InstanceMethod<&NativeSegmentReader::Close>("close"),
  };
}

NativeSegmentReader::NativeSegmentReader(const Napi::CallbackInfo& info)
    : Wrapped(info), queue_(Environment::Of(info.Env()).queue()) {}

Napi::Value NativeSegmentReader::Next(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!payload_) ThrowInvalid(env, kName, "it was closed and cannot be used any more");
  if (Environment::Of(env).IsPending(job_)) {
    ThrowInvalid(env, kName, "next() was called before the previous one ended; call one at a time");
  }
  const NativeJob started =
      RunOnPool(env, info.This().As<Napi::Object>(), [reader = payload_](const CancelTokenPtr& cancel) {
        return ToOutcome<std::optional<DecodedClip>>(reader->Next(cancel), ClipOrNull);
      });
  job_ = started.job->id();
  return started.handle;
}

void NativeSegmentReader::Close(const Napi::CallbackInfo& info) {
  Environment::Of(info.Env()).Cancel(job_);
  queue_->DestroyInBackground(std::move(payload_));
}

}  // namespace cosmos
