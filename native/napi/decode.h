// Binds decodeClip and openSegments.
#pragma once

#include "napi/node.h"

namespace cosmos {

Napi::Value DecodeClip(const Napi::CallbackInfo& info);
Napi::Value OpenSegments(const Napi::CallbackInfo& info);

}  // namespace cosmos
