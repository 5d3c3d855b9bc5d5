// Runs the PTX itself, an instruction at a time: slow, and proof that what is committed computes what its
// source says. Knows the instructions that our kernels have.
#pragma once

#include <string>
#include <string_view>

#include "cuda/kernels.h"

namespace fakes {

// Every thread of the grid, one after the other. `parameters` are the entry's one parameter. What is not
// known ends in misuse.
void Interpret(std::string_view ptx, std::string_view entry, const Dims& grid, const Dims& block,
               const void* parameters);

}  // namespace fakes
