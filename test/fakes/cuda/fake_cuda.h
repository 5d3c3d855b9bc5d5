// The fake libcuda: what it has beyond the driver API. Tests find the plain C functions with dlsym; the fakes
// of nvcuvid and nvinfer link to the library (target fake_cuda) and also use Enqueue.
//
// Rules of the real driver that it enforces: a context is current per thread; streams are asynchronous, and
// only events order them; handles and memory belong to one device; some calls break a capture; some errors
// are sticky.
//
// Device memory is host memory: a CUdeviceptr is a pointer. Queued work runs as late as CUDA allows, only
// when something waits for it: cuStreamSynchronize, cuEventSynchronize, a stream that these reach through an
// event, or cuEventQuery, which runs one piece of work per call. Work before a host function
// (cuLaunchHostFunc) also proceeds by itself, on a thread of this library. Memory reads 0xCD before it is
// written.
//
// Misuse (freeing memory under pending work, twice, or of unknown origin) aborts the process with a message;
// COSMOS_FAKE_CUDA_KEEP_GOING=1 records it instead.
//
// Environment, read at every call unless noted:
//   COSMOS_FAKE_CUDA_DEVICES   "name:capability:MiB" of each device, separated by ';'; "" for none.
//                              Default "Fake H200:9.0:8192". Read at cuInit. A name with " MIG " in it is
//                              an instance of a divided GPU, as the driver names it.
//   CUDA_VISIBLE_DEVICES       ordinals or UUIDs ("GPU-…", "MIG-…"). Read at cuInit.
//   COSMOS_FAKE_CUDA_VERSION   version of the driver, default 12040
//   COSMOS_FAKE_CUDA_INTERPRET if set, kernels run by interpreting their PTX instead of the host build
//   COSMOS_FAKE_CUDA_REPORT    a file that gets one line of JSON at exit: what is still allocated
//   COSMOS_FAKE_FAULTS         see ../faults.h. Functions by symbol ("cuMemAlloc_v2"); queued work, when it
//                              runs, as "run:cuMemcpyDtoHAsync_v2" or "run:<kernel>"
#pragma once

#include <ffnvcodec/dynlink_cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#define FAKE_CUDA_EXPORT __attribute__((visibility("default")))

extern "C" {
// Allocated bytes of device memory, by ordinal among the visible devices; -1 for all.
FAKE_CUDA_EXPORT std::size_t fake_cuda_live_bytes(int device);
FAKE_CUDA_EXPORT std::size_t fake_cuda_pinned_bytes();
// Streams, events, modules, graphs and executable graphs that are not destroyed.
FAKE_CUDA_EXPORT int fake_cuda_live_handles();
// Pieces of work that are queued on streams.
FAKE_CUDA_EXPORT int fake_cuda_pending();
// Calls of the function since the last reset.
FAKE_CUDA_EXPORT int fake_cuda_calls(const char* symbol);
// Ends the host functions that are taken to have begun when their context failed, and returns their number.
FAKE_CUDA_EXPORT int fake_cuda_end_host_functions();
// Recorded misuse, one line each, or "".
FAKE_CUDA_EXPORT const char* fake_cuda_errors();
// Clears misuse, call counts and sticky errors. Memory and handles stay.
FAKE_CUDA_EXPORT void fake_cuda_reset();
}

namespace fakes {

// Queues work like an asynchronous call, or adds it to the stream's capture, where it may run any number of
// times. `touches` are addresses (device or page-locked) in the allocations that it reads or writes; `what`
// names it in messages and "run:" faults. Fails like cuLaunchKernel. The work runs on the thread that waits
// for it, under this library's lock: it must not wait for a thread that calls the driver.
FAKE_CUDA_EXPORT CUresult Enqueue(CUstream stream, std::string what, std::vector<std::uint64_t> touches,
                                  std::function<void()> work);
// Whether the stream is being captured.
FAKE_CUDA_EXPORT bool IsCapturing(CUstream stream);
// Reports misuse, see above.
FAKE_CUDA_EXPORT void Misuse(const std::string& what);
// Whether work on a stream other than `stream` is pending that touches the allocation at `address`.
FAKE_CUDA_EXPORT bool IsPendingElsewhere(CUdeviceptr address, CUstream stream);
// Whether [address, address + bytes) lies in allocated device memory.
FAKE_CUDA_EXPORT bool IsDeviceMemory(CUdeviceptr address, std::size_t bytes);

}  // namespace fakes
