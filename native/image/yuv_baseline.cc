#define COSMOS_KERNELS BaselineYuvKernels
#include "image/yuv_kernels.inc"
