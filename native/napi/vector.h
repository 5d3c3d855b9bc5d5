// Vectors as text: their numbers in JSON.
#pragma once

#include "napi/node.h"

namespace cosmos {

// vectorToJson(vector: Float32Array): string
Napi::Value VectorToJson(const Napi::CallbackInfo& info);

}  // namespace cosmos
