// A C++ object behind a JavaScript one, safe against every wrong `this`.
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
//   T(const Napi::CallbackInfo& info)        which passes `info` on and takes `payload_`
template <typename T, typename Payload>
class Wrapped : public Napi::ObjectWrap<T> {
 public:
  // The only way to make one: `new` from JavaScript throws.
  static Napi::Object New(Napi::Env env, Payload payload) {
    Napi::FunctionReference& constructor = Environment::Of(env).Constructor(&T::kTag);
    if (constructor.IsEmpty()) {
      constructor = Napi::Persistent(Napi::ObjectWrap<T>::DefineClass(env, T::kName, T::Members()));
    }
    const HandOver hand_over(&payload);
    return constructor.New({});
  }

  static bool Is(Napi::Value value) {
    return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&T::kTag);
  }

  // Hides ObjectWrap's, which believes that any wrapped object is a T; node-addon-api calls this one for
  // `this`.
  static T* Unwrap(Napi::Object object) {
    if (!Is(object)) ThrowInvalid(object.Env(), "this", std::string("not a ") + T::kName);
    return Napi::ObjectWrap<T>::Unwrap(object);
  }

 protected:
  explicit Wrapped(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    Payload* const given = std::exchange(handed_over, nullptr);
    if (given == nullptr) ThrowInvalid(info.Env(), T::kName, "cannot be constructed from JavaScript");
    info.This().As<Napi::Object>().TypeTag(&T::kTag);
    payload_ = std::move(*given);
  }

  Payload payload_;

 private:
  // From New to the constructor that it calls, on the same thread, or to nobody when Node refuses the call.
  static inline thread_local Payload* handed_over = nullptr;
  struct HandOver {
    explicit HandOver(Payload* payload) { handed_over = payload; }
    ~HandOver() { handed_over = nullptr; }
    HandOver(const HandOver&) = delete;
    HandOver& operator=(const HandOver&) = delete;
  };
};

}  // namespace cosmos
