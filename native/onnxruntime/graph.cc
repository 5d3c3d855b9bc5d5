#include "onnxruntime/graph.h"

#include <string_view>
#include <utility>

namespace cosmos::ort {
namespace {

constexpr std::string_view kReading = "the graph's signature cannot be read";

// Reads the inputs or the outputs of a session, with the three API functions for either.
template <typename Count, typename Name, typename Info>
Result<std::vector<TensorSpec>> ReadTensors(Library& library, const Session& session, Count count, Name name,
                                            Info info) {
  const Api& api = library.api();
  const auto check = [&](OrtStatus* status) { return library.Check(status, StatusCode::kModel, kReading); };
  Allocator* allocator = nullptr;  // owned by the library
  COSMOS_RETURN_IF_ERROR(check(api.GetAllocatorWithDefaultOptions(&allocator)));
  std::size_t size = 0;
  COSMOS_RETURN_IF_ERROR(check(count(&session, &size)));

  std::vector<TensorSpec> tensors;
  for (std::size_t i = 0; i < size; ++i) {
    auto type_info = library.Make<TypeInfoHandle>(StatusCode::kModel, kReading,
                                                  [&](TypeInfo** out) { return info(&session, i, out); });
    if (!type_info.ok()) return type_info.TakeStatus();
    const TensorInfo* tensor_info = nullptr;  // owned by type_info; null for sequences, maps and optionals
    COSMOS_RETURN_IF_ERROR(check(api.CastTypeInfoToTensorInfo(type_info->get(), &tensor_info)));
    TensorSpec tensor;
    if (tensor_info != nullptr) {
      COSMOS_ASSIGN_OR_RETURN(tensor, ReadTensor(library, *tensor_info));
    }
    char* text = nullptr;
    COSMOS_RETURN_IF_ERROR(check(name(&session, i, allocator, &text)));
    tensor.name = text;
    COSMOS_RETURN_IF_ERROR(check(api.AllocatorFree(allocator, text)));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

Result<TensorSpec> ReadTensor(Library& library, const TensorInfo& info) {
  const Api& api = library.api();
  const auto check = [&](OrtStatus* status) { return library.Check(status, StatusCode::kModel, kReading); };
  TensorSpec tensor;
  std::size_t rank = 0;
  COSMOS_RETURN_IF_ERROR(check(api.GetTensorElementType(&info, &tensor.type)));
  COSMOS_RETURN_IF_ERROR(check(api.GetDimensionsCount(&info, &rank)));
  tensor.dims.resize(rank);
  std::vector<const char*> labels(rank);
  COSMOS_RETURN_IF_ERROR(check(api.GetDimensions(&info, tensor.dims.data(), rank)));
  COSMOS_RETURN_IF_ERROR(check(api.GetSymbolicDimensions(&info, labels.data(), rank)));
  tensor.labels.assign(labels.begin(), labels.end());
  return tensor;
}

Result<GraphSpec> ReadGraph(Library& library, const Session& session) {
  const Api& api = library.api();
  COSMOS_ASSIGN_OR_RETURN(auto inputs, ReadTensors(library, session, api.SessionGetInputCount,
                                                   api.SessionGetInputName, api.SessionGetInputTypeInfo));
  COSMOS_ASSIGN_OR_RETURN(auto outputs, ReadTensors(library, session, api.SessionGetOutputCount,
                                                    api.SessionGetOutputName, api.SessionGetOutputTypeInfo));
  return GraphSpec{std::move(inputs), std::move(outputs)};
}

}  // namespace cosmos::ort
