// Base class of C++ objects that JavaScript holds; rejects calls with a wrong `this`.
#pragma once

#include <string>
#include <utility>

#include "napi/environment.h"
#include "napi/error.h"
#include "napi/node.h"

namespace cosmos {

// T derives from Wrapped<T, Payload> and has
//   static constexpr napi_type_tag kTag      16 random bytes, the same in every build
//   static constexpr const char* kName       its class name
//   static std::vector<Napi::ClassPropertyDescriptor<T>> Members();
//   T(const Napi::CallbackInfo& info)        passes `info` to Wrapped, which then holds `payload_`
template <typename T, typename Payload>
class Wrapped : public Napi::ObjectWrap<T> {
 public:
  // The only way to create one: `new` from JavaScript throws.
  static Napi::Object New(Napi::Env env, Payload payload) {
    Napi::FunctionReference& constructor = Environment::Of(env).Constructor(&T::kTag);
    if (constructor.IsEmpty()) {
      constructor = Napi::Persistent(Napi::ObjectWrap<T>::DefineClass(env, T::kName, T::Members()));
    }
    const PayloadScope scope(&payload);
    return constructor.New({});
  }

  static bool Is(Napi::Value value) {
    return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&T::kTag);
  }

  // Hides ObjectWrap::Unwrap, which takes any wrapped object for a T. node-addon-api calls this one for
  // `this`.
  static T* Unwrap(Napi::Object object) {
    if (!Is(object)) ThrowInvalid(object.Env(), "this", std::string("not a ") + T::kName);
    return Napi::ObjectWrap<T>::Unwrap(object);
  }

 protected:
  explicit Wrapped(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    Payload* const payload = std::exchange(next_payload, nullptr);
    if (payload == nullptr) ThrowInvalid(info.Env(), T::kName, "cannot be constructed from JavaScript");
    info.This().As<Napi::Object>().TypeTag(&T::kTag);
    payload_ = std::move(*payload);
  }

  Payload payload_;

 private:
  // Passes the payload from New to the constructor, which runs on the same thread, unless Node refuses the
  // call.
  static inline thread_local Payload* next_payload = nullptr;
  struct PayloadScope {
    explicit PayloadScope(Payload* payload) { next_payload = payload; }
    ~PayloadScope() { next_payload = nullptr; }
    PayloadScope(const PayloadScope&) = delete;
    PayloadScope& operator=(const PayloadScope&) = delete;
  };
};

}  // namespace cosmos
