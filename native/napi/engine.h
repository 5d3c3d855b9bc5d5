// createEngine and probeOnnxRuntime.
#pragma once

#include "napi/node.h"

namespace cosmos {

Napi::Value CreateEngine(const Napi::CallbackInfo& info);
Napi::Value ProbeOnnxRuntime(const Napi::CallbackInfo& info);

}  // namespace cosmos
