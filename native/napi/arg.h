// Reads JavaScript arguments. Each getter validates; its error names the field, what was expected and what
// was found.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "napi/node.h"

namespace cosmos {

// A JavaScript value and its name in error messages, e.g. "options.frames".
class Arg {
 public:
  Arg(Napi::Value value, std::string name) : value_(value), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  Napi::Value value() const { return value_; }
  // False for `undefined`, which counts as an optional field left out.
  bool present() const { return !value_.IsUndefined(); }

  // A property of this value, which must be an object.
  Arg operator[](const char* key) const;
  // The length of this value, which must be an array of at least `min` elements, and one of its elements.
  std::uint32_t Length(std::uint32_t min) const;
  Arg operator[](std::uint32_t index) const;

  std::int64_t Integer(std::int64_t min, std::int64_t max) const;
  int Int(int min, int max) const { return static_cast<int>(Integer(min, max)); }
  // Finite, min <= x <= max.
  double Number(double min, double max) const;
  bool Boolean() const;
  // Neither empty nor with a NUL character.
  std::string String() const;
  // At least one byte in a buffer that is neither detached nor resizable, so that its memory can be pinned.
  // No JavaScript may run between this call and the pinning.
  Napi::Uint8Array Bytes() const;
  // The same for at least one float.
  Napi::Float32Array Floats() const;

  [[noreturn]] void Fail(std::string_view expected) const;
  [[noreturn]] void Fail(std::string_view expected, std::string_view found) const;

 private:
  // This value as a typed array that can be pinned; `kind` and `unit` describe it in messages.
  Napi::TypedArray Pinnable(napi_typedarray_type type, const std::string& kind,
                            const std::string& unit) const;

  Napi::Value value_;
  std::string name_;
};

// Describes a value for error messages: `"abc"`, `65`, `null`, `an array of 3`, `a Float32Array`.
std::string Describe(Napi::Value value);

}  // namespace cosmos
