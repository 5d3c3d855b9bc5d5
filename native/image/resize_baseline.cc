#define COSMOS_LANES 4
#define COSMOS_KERNELS BaselineResizeKernels
#if defined(__x86_64__)
#define COSMOS_KERNELS_NAME "sse2"
#else
#define COSMOS_KERNELS_NAME "neon"
#endif
#include "image/resize_kernels.inc"
