// Binds diagnostics(): versions, compiler, SIMD and FFmpeg of this build.
#pragma once

#include "napi/node.h"

namespace cosmos {

Napi::Value Diagnostics(const Napi::CallbackInfo& info);

}  // namespace cosmos
