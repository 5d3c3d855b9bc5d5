// A library that looks like an ONNX Runtime that is too old.
#include <cstdint>
#include <cstdlib>

#include "onnxruntime/abi.h"

namespace {

const cosmos::ort::Api* GetApi(std::uint32_t /*version*/) { std::abort(); }  // must not be called
const char* GetVersionString() { return "1.16.3"; }

constexpr cosmos::ort::ApiBase kBase = {GetApi, GetVersionString};

}  // namespace

extern "C" [[gnu::visibility("default")]] const cosmos::ort::ApiBase* OrtGetApiBase() { return &kBase; }
