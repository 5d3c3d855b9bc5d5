// The part of the CUDA driver API that we call: types from nv-codec-headers, and a table of functions that is
// filled when libcuda is opened. scripts/cuda/check_abi.py compares every prototype with NVIDIA's cuda.h.
#pragma once

#include <ffnvcodec/dynlink_cuda.h>

#include <cstddef>

// Missing in nv-codec-headers 11.1.
struct CUgraph_st;
struct CUgraphExec_st;

namespace cosmos::cuda {

using Graph = CUgraph_st*;
using GraphExec = CUgraphExec_st*;

enum : unsigned {
  kStreamNonBlocking = 1,
  kEventDisableTiming = 2,
  kHostAllocPortable = 1,
  kCaptureThreadLocal = 1,
};

// clang-format off
// Member of the table, symbol in the library, parameters. All return CUresult.
#define COSMOS_CUDA_FUNCTIONS(F)                                                                         \
  F(Init, "cuInit", (unsigned flags))                                                                    \
  F(DriverGetVersion, "cuDriverGetVersion", (int* version))                                              \
  F(GetErrorName, "cuGetErrorName", (CUresult error, const char** name))                                 \
  F(GetErrorString, "cuGetErrorString", (CUresult error, const char** text))                             \
  F(DeviceGetCount, "cuDeviceGetCount", (int* count))                                                    \
  F(DeviceGet, "cuDeviceGet", (CUdevice* device, int ordinal))                                           \
  F(DeviceGetName, "cuDeviceGetName", (char* name, int length, CUdevice device))                         \
  F(DeviceGetUuid, "cuDeviceGetUuid_v2", (CUuuid* uuid, CUdevice device))                                \
  F(DeviceGetAttribute, "cuDeviceGetAttribute",                                                          \
    (int* value, CUdevice_attribute attribute, CUdevice device))                                         \
  F(DeviceTotalMem, "cuDeviceTotalMem_v2", (std::size_t* bytes, CUdevice device))                        \
  F(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext* context, CUdevice device))           \
  F(CtxSetCurrent, "cuCtxSetCurrent", (CUcontext context))                                               \
  F(CtxGetCurrent, "cuCtxGetCurrent", (CUcontext* context))                                              \
  F(MemGetInfo, "cuMemGetInfo_v2", (std::size_t* free, std::size_t* total))                              \
  F(MemAlloc, "cuMemAlloc_v2", (CUdeviceptr* address, std::size_t bytes))                                \
  F(MemFree, "cuMemFree_v2", (CUdeviceptr address))                                                      \
  F(MemHostAlloc, "cuMemHostAlloc", (void** address, std::size_t bytes, unsigned flags))                 \
  F(MemFreeHost, "cuMemFreeHost", (void* address))                                                       \
  F(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                             \
    (CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream))                              \
  F(MemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                                             \
    (void* to, CUdeviceptr from, std::size_t bytes, CUstream stream))                                    \
  F(MemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                                                             \
    (CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream))                              \
  F(Memcpy2DAsync, "cuMemcpy2DAsync_v2", (const CUDA_MEMCPY2D* copy, CUstream stream))                   \
  F(MemsetD8Async, "cuMemsetD8Async",                                                                    \
    (CUdeviceptr address, unsigned char value, std::size_t bytes, CUstream stream))                      \
  F(StreamCreate, "cuStreamCreate", (CUstream* stream, unsigned flags))                                  \
  F(StreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                              \
  F(StreamSynchronize, "cuStreamSynchronize", (CUstream stream))                                         \
  F(StreamWaitEvent, "cuStreamWaitEvent", (CUstream stream, CUevent event, unsigned flags))              \
  F(LaunchHostFunc, "cuLaunchHostFunc", (CUstream stream, void (*function)(void* data), void* data))     \
  F(StreamBeginCapture, "cuStreamBeginCapture_v2", (CUstream stream, unsigned mode))                     \
  F(StreamEndCapture, "cuStreamEndCapture", (CUstream stream, CUgraph_st** graph))                       \
  F(GraphInstantiate, "cuGraphInstantiateWithFlags",                                                     \
    (CUgraphExec_st** executable, CUgraph_st* graph, unsigned long long flags))                          \
  F(GraphLaunch, "cuGraphLaunch", (CUgraphExec_st* executable, CUstream stream))                         \
  F(GraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec_st* executable))                                \
  F(GraphDestroy, "cuGraphDestroy", (CUgraph_st* graph))                                                 \
  F(EventCreate, "cuEventCreate", (CUevent* event, unsigned flags))                                      \
  F(EventDestroy, "cuEventDestroy_v2", (CUevent event))                                                  \
  F(EventRecord, "cuEventRecord", (CUevent event, CUstream stream))                                      \
  F(EventQuery, "cuEventQuery", (CUevent event))                                                         \
  F(EventSynchronize, "cuEventSynchronize", (CUevent event))                                             \
  F(ModuleLoadDataEx, "cuModuleLoadDataEx",                                                              \
    (CUmodule* module, const void* image, unsigned options, CUjit_option* names, void** values))         \
  F(ModuleUnload, "cuModuleUnload", (CUmodule module))                                                   \
  F(ModuleGetFunction, "cuModuleGetFunction", (CUfunction* function, CUmodule module, const char* name)) \
  F(LaunchKernel, "cuLaunchKernel",                                                                      \
    (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,           \
     unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void** parameters,      \
     void** extra))
// clang-format on

struct Api {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration takes none
#define COSMOS_CUDA_MEMBER(name, symbol, parameters) CUresult(CUDAAPI* name) parameters = nullptr;
  COSMOS_CUDA_FUNCTIONS(COSMOS_CUDA_MEMBER)
#undef COSMOS_CUDA_MEMBER
};

}  // namespace cosmos::cuda
