#if defined(__x86_64__)
#define COSMOS_KERNELS Avx2YuvKernels
#include "image/yuv_kernels.inc"
#endif
