// One GPU, and owners of what is allocated on it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cuda/driver.h"

namespace cosmos::cuda {

struct DeviceInfo {
  int ordinal = 0;  // among the devices that CUDA_VISIBLE_DEVICES exposes
  std::string name;
  std::string uuid;  // "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", or "MIG-…"
  int major = 0;     // compute capability
  int minor = 0;
  std::size_t total_bytes = 0;

  std::string compute_capability() const { return std::to_string(major) + "." + std::to_string(minor); }
};

// Creates no context, so it is cheap and uses no GPU memory.
Result<DeviceInfo> DescribeDevice(const Driver& driver, int ordinal);

// The primary context of a GPU, shared with everything in the process that uses it, TensorRT included.
// Retained once and never released: at exit the driver may already be shut down.
class Device {
 public:
  static Result<Device*> Open(Driver& driver, int ordinal);

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Driver& driver() const { return driver_; }
  const Api& api() const { return driver_.api(); }
  const DeviceInfo& info() const { return info_; }
  CUcontext context() const { return context_; }

  // Makes the context current on this thread: required before calls of the driver, nvcuvid or TensorRT.
  // Cheap.
  Status MakeCurrent() const;
  // Like Driver::Check; also records that the device was lost.
  Status Check(CUresult result, std::string_view doing, StatusCode code = StatusCode::kEngine) const;
  bool lost() const { return lost_.load(std::memory_order_acquire); }
  // Free and total bytes of GPU memory.
  Result<std::pair<std::size_t, std::size_t>> MemoryInfo() const;

 private:
  static Result<std::unique_ptr<Device>> Retain(Driver& driver, int ordinal);
  Device(Driver& driver, DeviceInfo info, CUcontext context)
      : driver_(driver), info_(std::move(info)), context_(context) {}

  Driver& driver_;
  const DeviceInfo info_;
  CUcontext context_;
  mutable std::atomic<bool> lost_ = false;
};

// Owners. Each makes the context current and frees its memory on whatever thread destroys it. All are movable
// and empty when default-constructed.

class DeviceBuffer {
 public:
  static Result<DeviceBuffer> Allocate(const Device& device, std::size_t bytes);
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceBuffer();

  CUdeviceptr address() const { return address_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return address_ != 0; }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
  }
  const Device* device_ = nullptr;
  CUdeviceptr address_ = 0;
  std::size_t bytes_ = 0;
};

// Page-locked host memory: copies to and from it overlap with kernels.
class PinnedBuffer {
 public:
  static Result<PinnedBuffer> Allocate(const Device& device, std::size_t bytes);
  PinnedBuffer() = default;
  PinnedBuffer(PinnedBuffer&& other) noexcept { swap(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~PinnedBuffer();

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void swap(PinnedBuffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  const Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A handle of the driver, freed by a function of its table: `Owned<CUstream, &Api::StreamDestroy>`.
template <typename Handle, auto destroy>
class Owned {
 public:
  Owned() = default;
  Owned(const Device& device, Handle handle) : device_(&device), handle_(handle) {}
  Owned(Owned&& other) noexcept
      : device_(std::exchange(other.device_, nullptr)), handle_(std::exchange(other.handle_, Handle{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (device_ && handle_ && device_->MakeCurrent().ok()) (device_->api().*destroy)(handle_);
  }

  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != Handle{}; }

 private:
  const Device* device_ = nullptr;
  Handle handle_{};
};

using Stream = Owned<CUstream, &Api::StreamDestroy>;
using Event = Owned<CUevent, &Api::EventDestroy>;
using GraphExecutable = Owned<CUgraphExec_st*, &Api::GraphExecDestroy>;
using Module = Owned<CUmodule, &Api::ModuleUnload>;

// The stream is non-blocking: it never synchronises with the default stream. The event records no time. The
// context must be current.
Result<Stream> MakeStream(const Device& device);
Result<Event> MakeEvent(const Device& device);

// Recycles device buffers by size, because cuMemAlloc and cuMemFree synchronise the whole device.
// Thread-safe. Its buffers keep it alive.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  // Keeps at most `max_idle_bytes` of unused buffers, those returned last.
  BufferPool(const Device& device, std::size_t max_idle_bytes)
      : device_(device), max_idle_bytes_(max_idle_bytes) {}

  // The buffer returns to the pool when the last copy of the pointer is destroyed; no stream may use it by
  // then.
  Result<std::shared_ptr<DeviceBuffer>> Take(std::size_t bytes);
  // Allocates a buffer that does not return to the pool. Like Take, frees the unused buffers before it fails
  // with kOutOfMemory.
  Result<DeviceBuffer> Allocate(std::size_t bytes);
  // Frees the unused buffers.
  void Trim();
  const Device& device() const { return device_; }

 private:
  void Return(DeviceBuffer buffer);

  const Device& device_;
  const std::size_t max_idle_bytes_;
  std::mutex mutex_;
  std::size_t idle_bytes_ = 0;
  std::list<DeviceBuffer> idle_;  // most recently returned first
};

}  // namespace cosmos::cuda
