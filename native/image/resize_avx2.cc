#if defined(__x86_64__)
#define COSMOS_LANES 8
#define COSMOS_KERNELS Avx2ResizeKernels
#define COSMOS_KERNELS_NAME "avx2"
#include "image/resize_kernels.inc"
#endif
