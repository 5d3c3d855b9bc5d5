// The signature of a model graph, and the forms of it that every engine accepts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "image/clip.h"

namespace cosmos {

inline constexpr std::int64_t kDynamic = -1;

// Numbered like ONNX's TensorProto.DataType.
enum class ElementType : int {
  kNotATensor = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,
  kFloat16 = 10,
  kBfloat16 = 16
};

// "float32", or "type 17" for a type that has no name here.
std::string TypeName(ElementType type);

struct TensorSpec {
  std::string name;
  ElementType type{};               // kNotATensor for sequences, maps and optionals
  std::vector<std::int64_t> dims;   // kDynamic where the graph leaves the size open
  std::vector<std::string> labels;  // the graph's name for each dynamic dimension, or ""
};

struct GraphSpec {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// "videos uint8 [batch,8,3,224,224]"
std::string Describe(const TensorSpec& tensor);
std::string Describe(const std::vector<TensorSpec>& tensors);

// The sizes in model.json, which the graphs must agree with.
struct ModelShape {
  ClipShape clip;
  int embedding_dim = 0;
};

struct VideoGraph {
  bool tao = false;  // float32 [B,3,T,H,W] in 0..1 instead of uint8 [B,T,3,H,W]
  std::string input;
  std::string output;
  int max_batch = 0;  // 0 = unlimited
};

struct TextGraph {
  std::string output;
  ElementType type{};  // of the ids and of the mask
  int max_batch = 0;   // 0 = unlimited
  int length = 0;      // tokens of a row where the graph fixes it; 0 = any
};

// Both accept the canonical (VSS) form and TAO's, by names, types and dimensions. They fail with kModel for
// any other graph, reporting what was expected and what was found. `file` is for the message.
Result<VideoGraph> MatchVideo(const GraphSpec& graph, const ModelShape& model, const std::string& file);
// `integers` are the types of ids and mask that the engine supports.
Result<TextGraph> MatchText(const GraphSpec& graph, const ModelShape& model,
                            std::span<const ElementType> integers, const std::string& file);

}  // namespace cosmos
