// Binds nearest: exact search in memory.
#pragma once

#include "napi/node.h"

namespace cosmos {

Napi::Value NearestVectors(const Napi::CallbackInfo& info);

}  // namespace cosmos
