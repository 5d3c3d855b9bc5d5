// Status → JavaScript: every failure is an Error with the own properties `code` and `details` of
// NativeFailure.
#pragma once

#include <string>

#include "base/status.h"
#include "napi/node.h"

namespace cosmos {

Napi::Error ToError(Napi::Env env, const Status& status);

[[noreturn]] void Throw(Napi::Env env, const Status& status);

// A bug in the caller. `field` is the argument as the caller wrote it, e.g. "options.frames".
[[noreturn]] void ThrowInvalid(Napi::Env env, const std::string& field, const std::string& problem);

}  // namespace cosmos
