// What a graph takes and gives, and which of the known forms of an embedding model that is: the same question
// for every engine.
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

// Numbered as in ONNX.
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

// "float32", or "type 17" for one that has no name here.
std::string TypeName(ElementType type);

struct TensorSpec {
  std::string name;
  ElementType type{};               // kNotATensor for sequences, maps and optionals
  std::vector<std::int64_t> dims;   // kDynamic where the graph leaves it open
  std::vector<std::string> labels;  // what the graph calls its dynamic dimensions, or ""
};

struct GraphSpec {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// "videos uint8 [batch,8,3,224,224]"
std::string Describe(const TensorSpec& tensor);
std::string Describe(const std::vector<TensorSpec>& tensors);

// What model.json says and the graphs must agree with.
struct ModelShape {
  ClipShape clip;
  int embedding_dim = 0;
};

struct VideoGraph {
  bool tao = false;  // float32 [B,3,T,H,W] in 0..1 instead of uint8 [B,T,3,H,W]
  std::string input;
  std::string output;
  int max_batch = 0;  // 0 = any
};

struct TextGraph {
  std::string output;
  ElementType type{};  // of the ids and of the mask
  int max_batch = 0;   // 0 = any
  int length = 0;      // tokens of a row, when the graph fixes it; 0 = any
};

// Accept the canonical (VSS) form and TAO's, by names, types and dimensions. Anything else is kModel with
// what was expected and what was found. `file` is for the message.
Result<VideoGraph> MatchVideo(const GraphSpec& graph, const ModelShape& model, const std::string& file);
// `integers` are the types of ids and mask that the engine can feed.
Result<TextGraph> MatchText(const GraphSpec& graph, const ModelShape& model,
                            std::span<const ElementType> integers, const std::string& file);

}  // namespace cosmos
