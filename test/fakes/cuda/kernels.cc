#include "cuda/kernels.h"

// Keywords and variables that CUDA provides to a kernel's source.
#define __global__
#define __device__
#define __forceinline__ inline

namespace {

struct Index {
  unsigned x;
  unsigned y;
  unsigned z;
};
thread_local Index gridDim;
thread_local Index blockDim;
thread_local Index blockIdx;
thread_local Index threadIdx;

}  // namespace

#include "cuda/preprocess.cu"

namespace fakes {
namespace {

Index AsIndex(const Dims& dims) { return {dims[0], dims[1], dims[2]}; }

// Calls `visit` for every index below `end`, one after the other.
template <typename Visit>
void ForEach(const Index& end, Index& index, Visit visit) {
  for (index.z = 0; index.z < end.z; ++index.z)
    for (index.y = 0; index.y < end.y; ++index.y)
      for (index.x = 0; index.x < end.x; ++index.x) visit();
}

template <typename Parameters, void (*kernel)(Parameters)>
void Launch(const Dims& grid, const Dims& block, void** parameters) {
  gridDim = AsIndex(grid);
  blockDim = AsIndex(block);
  const auto& first = *static_cast<const Parameters*>(parameters[0]);
  ForEach(gridDim, blockIdx, [&] { ForEach(blockDim, threadIdx, [&] { kernel(first); }); });
}

template <typename Parameters, void (*kernel)(Parameters)>
HostKernel Make(const char* name) {
  return {name, {sizeof(Parameters)}, Launch<Parameters, kernel>};
}

}  // namespace

const std::vector<HostKernel>& HostKernels() {
  using cosmos::cuda::ResizeParameters;
  using cosmos::cuda::TaoParameters;
  static const std::vector<HostKernel> kernels = {
      Make<ResizeParameters, cosmos_resize_rows>("cosmos_resize_rows"),
      Make<ResizeParameters, cosmos_resize_columns>("cosmos_resize_columns"),
      Make<TaoParameters, cosmos_to_tao>("cosmos_to_tao"),
  };
  return kernels;
}

}  // namespace fakes
