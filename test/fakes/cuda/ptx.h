// Interprets PTX, which proves that the committed preprocess.ptx computes what its source does. Slow.
// Supports the instructions that our kernels use.
#pragma once

#include <string>
#include <string_view>

#include "cuda/kernels.h"

namespace fakes {

// Runs every thread of the grid, one after the other. `parameters` points to the entry's only parameter. An
// unknown instruction is misuse.
void Interpret(std::string_view ptx, std::string_view entry, const Dims& grid, const Dims& block,
               const void* parameters);

}  // namespace fakes
