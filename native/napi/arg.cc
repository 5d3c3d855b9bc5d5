#include "napi/arg.h"

#include <cmath>
#include <string>

#include "napi/error.h"

namespace cosmos {
namespace {

constexpr std::size_t kLongestQuote = 60;

std::string Quote(std::string text) {
  // Cut between characters: continuation bytes of UTF-8 start with the bits 10.
  if (text.size() > kLongestQuote) {
    std::size_t end = kLongestQuote;
    while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "…";
  }
  return '"' + text + '"';
}

std::string NameOf(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array: return "an Int8Array";
    case napi_uint8_array: return "a Uint8Array";
    case napi_uint8_clamped_array: return "a Uint8ClampedArray";
    case napi_int16_array: return "an Int16Array";
    case napi_uint16_array: return "a Uint16Array";
    case napi_int32_array: return "an Int32Array";
    case napi_uint32_array: return "a Uint32Array";
    case napi_float32_array: return "a Float32Array";
    case napi_float64_array: return "a Float64Array";
    case napi_bigint64_array: return "a BigInt64Array";
    case napi_biguint64_array: return "a BigUint64Array";
    default: return "a typed array";
  }
}

std::string FormatNumber(Napi::Env env, double number) {
  return Napi::Number::New(env, number).ToString().Utf8Value();
}

}  // namespace

std::string Describe(Napi::Value value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean:
    case napi_number: return value.ToString().Utf8Value();
    case napi_string: return Quote(value.As<Napi::String>().Utf8Value());
    case napi_symbol: return "a symbol";
    case napi_bigint: return "a bigint";
    case napi_function: return "a function";
    case napi_external: return "an external value";
    case napi_object: break;
  }
  if (value.IsArray()) return "an array of " + std::to_string(value.As<Napi::Array>().Length());
  if (value.IsTypedArray()) return NameOf(value.As<Napi::TypedArray>().TypedArrayType());
  if (value.IsArrayBuffer()) return "an ArrayBuffer";
  if (value.IsPromise()) return "a Promise";
  return "an object";
}

void Arg::Fail(std::string_view expected) const { Fail(expected, Describe(value_)); }

void Arg::Fail(std::string_view expected, std::string_view found) const {
  ThrowInvalid(value_.Env(), name_, "expected " + std::string(expected) + ", found " + std::string(found));
}

Arg Arg::operator[](const char* key) const {
  if (!value_.IsObject()) Fail("an object");
  return {value_.As<Napi::Object>().Get(key), name_ + "." + key};
}

std::uint32_t Arg::Length(std::uint32_t min) const {
  if (!value_.IsArray()) Fail("an array");
  const std::uint32_t length = value_.As<Napi::Array>().Length();
  if (length < min) Fail("an array of " + std::to_string(min) + " or more");
  return length;
}

Arg Arg::operator[](std::uint32_t index) const {
  return {value_.As<Napi::Object>().Get(index), name_ + "[" + std::to_string(index) + "]"};
}

std::int64_t Arg::Integer(std::int64_t min, std::int64_t max) const {
  const double number = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : NAN;
  // NaN fails both comparisons. The casts are exact below 2^53, as are all limits in use.
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) ||
      std::trunc(number) != number) {
    Fail("an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return static_cast<std::int64_t>(number);
}

double Arg::Number(double min, double max) const {
  const double number = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= min && number <= max)) {
    Fail("a number from " + FormatNumber(value_.Env(), min) + " to " + FormatNumber(value_.Env(), max));
  }
  return number;
}

bool Arg::Boolean() const {
  if (!value_.IsBoolean()) Fail("true or false");
  return value_.As<Napi::Boolean>().Value();
}

std::string Arg::String() const {
  if (!value_.IsString()) Fail("a string");
  std::string text = value_.As<Napi::String>().Utf8Value();
  if (text.empty()) Fail("a string that is not empty");
  if (text.find('\0') != std::string::npos) Fail("a string without NUL characters");
  return text;
}

Napi::TypedArray Arg::Pinnable(napi_typedarray_type type, const std::string& kind,
                               const std::string& unit) const {
  const std::string expected = "a " + kind + " of at least one " + unit;
  if (!value_.IsTypedArray() || value_.As<Napi::TypedArray>().TypedArrayType() != type) Fail(expected);
  const auto array = value_.As<Napi::TypedArray>();
  const Napi::ArrayBuffer buffer = array.ArrayBuffer();
  if (buffer.Get("resizable").ToBoolean()) {
    Fail("a " + kind + " over a buffer of fixed size (a copy is one: new " + kind + "(" + unit + "s))",
         "one over a resizable ArrayBuffer");
  }
  if (buffer.IsDetached()) {
    Fail(expected, "one whose ArrayBuffer is detached (it was transferred elsewhere)");
  }
  if (array.ByteLength() == 0) Fail(expected, "an empty one");
  return array;
}

Napi::Uint8Array Arg::Bytes() const {
  return Pinnable(napi_uint8_array, "Uint8Array", "byte").As<Napi::Uint8Array>();
}

Napi::Float32Array Arg::Floats() const {
  return Pinnable(napi_float32_array, "Float32Array", "float").As<Napi::Float32Array>();
}

}  // namespace cosmos
