#include "napi/error.h"

namespace cosmos {

Napi::Error ToError(Napi::Env env, const Status& status) {
  const Napi::HandleScope scope(env);
  const Napi::Object details = Napi::Object::New(env);
  for (const auto& [key, detail] : status.details()) {
    std::visit([&details, &key = key](const auto& value) { details.Set(key, value); }, detail);
  }
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("code", std::string(StatusCodeName(status.code())));
  error.Set("details", details);
  return error;
}

void Throw(Napi::Env env, const Status& status) { throw ToError(env, status); }

void ThrowInvalid(Napi::Env env, const std::string& field, const std::string& problem) {
  Throw(env, Status(StatusCode::kInvalidArgument, field + ": " + problem).With("field", field));
}

}  // namespace cosmos
