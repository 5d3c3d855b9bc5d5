#include "cuda/fake_cuda.h"

extern "C" FAKE_CUDA_EXPORT CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
extern "C" FAKE_CUDA_EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = 10000;
  return CUDA_SUCCESS;
}
