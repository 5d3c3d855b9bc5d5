// One GPU, and what is allocated on it.
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
  int ordinal = 0;  // among those that CUDA_VISIBLE_DEVICES shows
  std::string name;
  std::string uuid;  // "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
  int major = 0;     // compute capability
  int minor = 0;
  std::size_t total_bytes = 0;

  std::string compute_capability() const { return std::to_string(major) + "." + std::to_string(minor); }
};

// Without a context: cheap, and the card's memory is left alone.
Result<DeviceInfo> DescribeDevice(const Driver& driver, int ordinal);

// The primary context of a GPU, shared by everything in the process that uses it (TensorRT does too).
// Retained once and never released: at exit the driver may already be gone.
class Device {
 public:
  static Result<Device*> Open(Driver& driver, int ordinal);

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Driver& driver() const { return driver_; }
  const Api& api() const { return driver_.api(); }
  const DeviceInfo& info() const { return info_; }
  CUcontext context() const { return context_; }

  // Every thread does this before it calls the driver, nvcuvid or TensorRT. Cheap.
  Status MakeCurrent() const;
  // As Driver::Check. Remembers that the device was lost.
  Status Check(CUresult result, std::string_view doing, StatusCode code = StatusCode::kEngine) const;
  bool lost() const { return lost_.load(std::memory_order_acquire); }
  // Free and total bytes of the card's memory.
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

// Owners. Each frees on whatever thread destroys it, making the context current itself; all are movable, and
// empty when default-constructed.

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

// Page-locked host memory: copies to and from it run beside kernels.
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

// A handle of the driver's and the function that frees it: `Owned<CUstream, &Api::StreamDestroy>`.
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

// Non-blocking: never waits for the default stream. The event does not measure time. The context must be
// current.
Result<Stream> MakeStream(const Device& device);
Result<Event> MakeEvent(const Device& device);

// Buffers that are handed back are kept for the next who wants as many bytes: cuMemAlloc and cuMemFree wait
// for the whole device. Thread-safe. Outlives its buffers.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  // At most `max_idle_bytes` are kept while nobody uses them: those that came back last.
  BufferPool(const Device& device, std::size_t max_idle_bytes)
      : device_(device), max_idle_bytes_(max_idle_bytes) {}

  // On the last copy's destruction the buffer goes back: nothing on any stream may use it any more by then.
  Result<std::shared_ptr<DeviceBuffer>> Take(std::size_t bytes);
  // A buffer that does not come back here. As Take, frees what is idle before it gives up.
  Result<DeviceBuffer> Allocate(std::size_t bytes);
  // Frees what is idle.
  void Trim();
  const Device& device() const { return device_; }

 private:
  void Return(DeviceBuffer buffer);

  const Device& device_;
  const std::size_t max_idle_bytes_;
  std::mutex mutex_;
  std::size_t idle_bytes_ = 0;
  std::list<DeviceBuffer> idle_;  // the latest first
};

}  // namespace cosmos::cuda
