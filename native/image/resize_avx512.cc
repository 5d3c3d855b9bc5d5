#if defined(__x86_64__)
#define COSMOS_LANES 16
#define COSMOS_KERNELS kResizeAvx512
#define COSMOS_KERNELS_NAME "avx512"
#include "image/resize_kernels.inc"
#endif
