// What the double of libcuda has beyond the driver API. Tests find the plain C functions with dlsym; the
// doubles of nvcuvid and nvinfer link to the library (target fake_cuda) and also use Enqueue.
//
// Device memory is host memory: a CUdeviceptr is a pointer. Work on a stream is kept and runs only when
// something waits for it: cuStreamSynchronize, cuEventSynchronize, a wait of another stream that these reach,
// or cuEventQuery, which runs one piece of it a call. Work before a host function (cuLaunchHostFunc) also
// proceeds by itself, on a thread of the double. What touches memory too early meets 0xCD, and what frees it
// too early is misuse.
//
// Misuse (memory freed under pending work, freed twice, or not ours) ends the process with a message;
// COSMOS_FAKE_CUDA_KEEP_GOING=1 records it instead.
//
// Environment, read at every call unless said otherwise:
//   COSMOS_FAKE_CUDA_DEVICES   name:capability:MiB of each, ';' between; "" for none. "Fake H200:9.0:8192"
//   CUDA_VISIBLE_DEVICES       at cuInit; numbers or UUIDs ("GPU-…")
//   COSMOS_FAKE_CUDA_VERSION   of the driver, 12040
//   COSMOS_FAKE_CUDA_INTERPRET set: kernels are their PTX, interpreted, and not the host build of their
//   source COSMOS_FAKE_CUDA_REPORT    a file that at exit gets one line of JSON: what is still allocated
//   COSMOS_FAKE_FAULTS         see ../faults.h. A function by its symbol (cuMemAlloc_v2), or the work that it
//                              queued when that runs: "run:cuMemcpyDtoHAsync_v2", "run:" and a kernel's name
#pragma once

#include <ffnvcodec/dynlink_cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#define FAKE_CUDA_EXPORT __attribute__((visibility("default")))

extern "C" {
// Bytes of device memory, by ordinal as cuInit left them; -1 for all devices.
FAKE_CUDA_EXPORT std::size_t fake_cuda_live_bytes(int device);
FAKE_CUDA_EXPORT std::size_t fake_cuda_pinned_bytes();
// Streams, events, modules, graphs and executable graphs that nobody destroyed.
FAKE_CUDA_EXPORT int fake_cuda_live_handles();
// Pieces of work that wait on streams.
FAKE_CUDA_EXPORT int fake_cuda_pending();
// How often the function was called since the last reset.
FAKE_CUDA_EXPORT int fake_cuda_calls(const char* symbol);
// Misuse so far, a line each; "" when there was none.
FAKE_CUDA_EXPORT const char* fake_cuda_errors();
// Forgets misuse, counts of calls, and errors that poisoned a device. Memory and handles stay.
FAKE_CUDA_EXPORT void fake_cuda_reset();
}

namespace fakes {

// Queues work as an asynchronous call would, also while the stream is captured, in which case it may run any
// number of times or never. `touches` are addresses (device or page-locked) in what the work reads or writes.
// Errors as of cuLaunchKernel. `what` is for messages and "run:" faults. The work runs on whatever thread
// waits for it, under the one lock of this double: it must not wait for a thread that calls the driver.
FAKE_CUDA_EXPORT CUresult Enqueue(CUstream stream, std::string what, std::vector<std::uint64_t> touches,
                                  std::function<void()> work);
// Whether the stream's work goes into a graph.
FAKE_CUDA_EXPORT bool IsCapturing(CUstream stream);
// Records misuse.
FAKE_CUDA_EXPORT void Misuse(const std::string& what);
// Whether work on a stream other than `stream` is pending that touches the allocation at `address`.
FAKE_CUDA_EXPORT bool IsPendingElsewhere(CUdeviceptr address, CUstream stream);
// Whether [address, address + bytes) is device memory that is allocated.
FAKE_CUDA_EXPORT bool IsDeviceMemory(CUdeviceptr address, std::size_t bytes);

}  // namespace fakes
