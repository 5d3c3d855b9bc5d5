#include "base/status.h"

namespace cosmos {

std::string_view StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return "ok";
    case StatusCode::kCancelled: return "cancelled";
    case StatusCode::kInvalidArgument: return "invalid_argument";
    case StatusCode::kSource: return "source";
    case StatusCode::kMedia: return "media";
    case StatusCode::kEncrypted: return "encrypted";
    case StatusCode::kLimit: return "limit";
    case StatusCode::kTimeout: return "timeout";
    case StatusCode::kLibrary: return "library";
    case StatusCode::kModel: return "model";
    case StatusCode::kEngine: return "engine";
    case StatusCode::kDeviceLost: return "device_lost";
    case StatusCode::kOutOfMemory: return "out_of_memory";
    case StatusCode::kInternal: return "internal";
  }
  return "internal";
}

}  // namespace cosmos
