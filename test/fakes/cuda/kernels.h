// The kernels of native/cuda/*.cu, built for the host.
#pragma once

#include <array>
#include <string_view>
#include <vector>

namespace fakes {

using Dims = std::array<unsigned, 3>;

struct HostKernel {
  std::string_view name;
  std::vector<std::size_t> parameters;  // bytes of each
  void (*launch)(const Dims& grid, const Dims& block, void** parameters);
};

const std::vector<HostKernel>& HostKernels();

}  // namespace fakes
