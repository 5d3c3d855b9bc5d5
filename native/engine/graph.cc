#include "engine/graph.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace cosmos {
namespace {

// Whether a tensor has this name, one of these types and these dimensions. kDynamic in `dims` matches any
// size (the batch, the tokens of a row), and a dimension that the graph leaves open matches any wanted size.
bool Fits(const TensorSpec& found, std::string_view name, std::span<const ElementType> types,
          std::span<const std::int64_t> dims) {
  if (found.name != name || std::find(types.begin(), types.end(), found.type) == types.end()) return false;
  return std::equal(found.dims.begin(), found.dims.end(), dims.begin(), dims.end(),
                    [](std::int64_t have, std::int64_t want) {
                      return want == kDynamic || have == kDynamic || have == want;
                    });
}

const TensorSpec* FindTensor(const std::vector<TensorSpec>& tensors, std::string_view name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const TensorSpec& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

// The largest batch that the tensor's first dimension allows; 0 = unlimited. Nullopt when it is fixed to more
// than one.
std::optional<int> MaxBatch(const TensorSpec& tensor) {
  if (tensor.dims.front() == kDynamic) return 0;
  return tensor.dims.front() == 1 ? std::optional(1) : std::nullopt;
}

Status Refuse(const GraphSpec& graph, const std::string& file, const std::string& expected) {
  const std::string found = Describe(graph.inputs) + " -> " + Describe(graph.outputs);
  return Status(StatusCode::kModel,
                file + " is not a graph of a known form. Expected: " + expected + ". Found: " + found)
      .With("file", file)
      .With("expected", expected)
      .With("found", found);
}

constexpr std::array kFloats = {ElementType::kFloat32, ElementType::kFloat16};

std::string Brackets(const std::vector<std::string>& dims) {
  std::string text = "[";
  for (const std::string& dim : dims) text += (text.size() > 1 ? "," : "") + dim;
  return text + "]";
}

// Whether `output` is [B, D] of floats.
bool IsEmbedding(const TensorSpec* output, std::string_view name, int dim) {
  const std::array<std::int64_t, 2> dims = {kDynamic, dim};
  return output != nullptr && Fits(*output, name, kFloats, dims);
}

}  // namespace

std::string TypeName(ElementType type) {
  switch (type) {
    case ElementType::kFloat32: return "float32";
    case ElementType::kUint8: return "uint8";
    case ElementType::kInt8: return "int8";
    case ElementType::kInt64: return "int64";
    case ElementType::kInt32: return "int32";
    case ElementType::kBool: return "bool";
    case ElementType::kFloat16: return "float16";
    case ElementType::kBfloat16: return "bfloat16";
    case ElementType::kNotATensor: return "not a tensor";
  }
  return "type " + std::to_string(static_cast<int>(type));
}

std::string Describe(const TensorSpec& tensor) {
  std::vector<std::string> dims;
  for (std::size_t i = 0; i < tensor.dims.size(); ++i) {
    if (tensor.dims[i] != kDynamic) {
      dims.push_back(std::to_string(tensor.dims[i]));
    } else {
      dims.push_back(tensor.labels[i].empty() ? "?" : tensor.labels[i]);
    }
  }
  return tensor.name + " " + TypeName(tensor.type) + " " + Brackets(dims);
}

std::string Describe(const std::vector<TensorSpec>& tensors) {
  std::string text;
  for (const TensorSpec& tensor : tensors) text += (text.empty() ? "" : ", ") + Describe(tensor);
  return text.empty() ? "nothing" : text;
}

Result<VideoGraph> MatchVideo(const GraphSpec& graph, const ModelShape& model, const std::string& file) {
  const auto& [frames, height, width] = model.clip;
  const std::array<std::int64_t, 5> canonical = {kDynamic, frames, 3, height, width};
  const std::array<std::int64_t, 5> tao = {kDynamic, 3, frames, height, width};
  const std::array bytes = {ElementType::kUint8};
  const std::array floats = {ElementType::kFloat32};

  if (graph.inputs.size() == 1) {
    const TensorSpec& input = graph.inputs.front();
    for (const bool is_tao : {false, true}) {
      const std::string output = is_tao ? "video_embedding" : "video_embeddings";
      const bool fits = is_tao ? Fits(input, "videos", floats, tao) : Fits(input, "videos", bytes, canonical);
      if (!fits || !IsEmbedding(FindTensor(graph.outputs, output), output, model.embedding_dim)) continue;
      if (const auto batch = MaxBatch(input)) return VideoGraph{is_tao, input.name, output, *batch};
    }
  }
  const std::string t = std::to_string(frames);
  const std::string h = std::to_string(height);
  const std::string w = std::to_string(width);
  const std::string d = std::to_string(model.embedding_dim);
  return Refuse(graph, file,
                "videos uint8 " + Brackets({"B", t, "3", h, w}) + " -> video_embeddings float32 " +
                    Brackets({"B", d}) + ", or TAO's videos float32 " + Brackets({"B", "3", t, h, w}) +
                    " -> video_embedding float32 " + Brackets({"B", d}) + ", with B dynamic or 1");
}

Result<TextGraph> MatchText(const GraphSpec& graph, const ModelShape& model,
                            std::span<const ElementType> integers, const std::string& file) {
  const TensorSpec* ids = FindTensor(graph.inputs, "input_ids");
  const TensorSpec* mask = FindTensor(graph.inputs, "attention_mask");
  const std::array<std::int64_t, 2> row = {kDynamic, kDynamic};

  if (graph.inputs.size() == 2 && ids != nullptr && mask != nullptr &&
      Fits(*ids, "input_ids", integers, row) && Fits(*mask, "attention_mask", integers, row) &&
      ids->dims == mask->dims && ids->type == mask->type) {
    for (const char* output : {"text_embeddings", "text_embedding"}) {
      if (!IsEmbedding(FindTensor(graph.outputs, output), output, model.embedding_dim)) continue;
      const int length = ids->dims[1] == kDynamic ? 0 : static_cast<int>(ids->dims[1]);
      if (const auto batch = MaxBatch(*ids)) return TextGraph{output, ids->type, *batch, length};
    }
  }
  std::string types;
  for (const ElementType type : integers) types += (types.empty() ? "" : " or ") + TypeName(type);
  return Refuse(graph, file,
                "input_ids " + types + " [B,S], attention_mask " + types +
                    " [B,S] -> text_embeddings (or TAO's text_embedding) float32 " +
                    Brackets({"B", std::to_string(model.embedding_dim)}) + ", with B dynamic or 1");
}

}  // namespace cosmos
