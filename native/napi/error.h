// Turns a Status into a JavaScript Error with the own properties `code` and `details` of NativeFailure.
#pragma once

#include <string>

#include "base/status.h"
#include "napi/node.h"

namespace cosmos {

Napi::Error ToError(Napi::Env env, const Status& status);

[[noreturn]] void Throw(Napi::Env env, const Status& status);

// Throws kInvalidArgument. `field` names the argument as the caller sees it, e.g. "options.frames".
[[noreturn]] void ThrowInvalid(Napi::Env env, const std::string& field, const std::string& problem);

}  // namespace cosmos
