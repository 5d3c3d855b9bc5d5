#include "napi/vector.h"

#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include "napi/arg.h"

namespace cosmos {
namespace {

// "-1.1754944e-38," is the longest: a sign, 9 digits, a point, an exponent and a comma.
constexpr std::size_t kMaxNumber = 24;

}  // namespace

// The shortest decimals that read back as the same float32, also when a reader takes them for a double first
// and rounds that: true of every finite float32. Infinities and NaN are null, as JSON.stringify writes them.
Napi::Value VectorToJson(const Napi::CallbackInfo& info) {
  const Arg arg(info[0], "vector");
  if (!arg.value().IsTypedArray() ||
      arg.value().As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    arg.Fail("a Float32Array");
  const auto vector = arg.value().As<Napi::Float32Array>();
  const float* const numbers = vector.Data();
  const std::size_t count = vector.ElementLength();

  std::string text(count * kMaxNumber + 2, '\0');
  char* at = text.data();
  *at++ = '[';
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) *at++ = ',';
    if (std::isfinite(numbers[i])) {
      at = std::to_chars(at, at + kMaxNumber, numbers[i]).ptr;
    } else {
      at += std::string_view("null").copy(at, 4);
    }
  }
  *at++ = ']';
  napi_value value = nullptr;
  // Latin-1, which V8 copies as it is; node-addon-api only decodes UTF-8.
  const napi_status status = napi_create_string_latin1(info.Env(), text.data(), at - text.data(), &value);
  NAPI_THROW_IF_FAILED(info.Env(), status, Napi::Value());
  return {info.Env(), value};
}

}  // namespace cosmos
