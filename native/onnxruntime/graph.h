// Reads the signature of an ONNX Runtime session.
#pragma once

#include "engine/graph.h"
#include "onnxruntime/library.h"

namespace cosmos::ort {

Result<GraphSpec> ReadGraph(Library& library, const Session& session);

// Type and dimensions of one tensor, without a name.
Result<TensorSpec> ReadTensor(Library& library, const TensorInfo& info);

}  // namespace cosmos::ort
