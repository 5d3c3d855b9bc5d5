#include "cuda/device.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <utility>

#include "base/registry.h"

namespace cosmos::cuda {
namespace {

using Devices = Registry<Device, std::pair<const Driver*, int>>;

// With the prefix that CUDA_VISIBLE_DEVICES takes. An instance of a divided GPU (MIG) has a UUID of its own,
// and only its name tells what it is: "NVIDIA H100 NVL MIG 3g.47gb".
std::string UuidText(const CUuuid& uuid, std::string_view name) {
  std::string text = name.find(" MIG ") == std::string_view::npos ? "GPU-" : "MIG-";
  for (std::size_t i = 0; i < sizeof(uuid.bytes); ++i) {
    std::array<char, 3> hex{};
    static_cast<void>(std::snprintf(hex.data(), hex.size(), "%02x",
                                    static_cast<unsigned>(static_cast<unsigned char>(uuid.bytes[i]))));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += hex.data();
  }
  return text;
}

}  // namespace

Result<DeviceInfo> DescribeDevice(const Driver& driver, int ordinal) {
  if (ordinal < 0 || ordinal >= driver.device_count()) {
    return Status(StatusCode::kInvalidArgument, "there is no GPU " + std::to_string(ordinal) +
                                                    "; this process sees " +
                                                    std::to_string(driver.device_count()))
        .With("device", static_cast<double>(ordinal))
        .With("devices", static_cast<double>(driver.device_count()));
  }
  const Api& api = driver.api();
  const std::string doing = "GPU " + std::to_string(ordinal) + " cannot be described";
  const auto check = [&](CUresult result) { return driver.Check(result, doing, StatusCode::kLibrary); };
  DeviceInfo info;
  info.ordinal = ordinal;
  CUdevice device = 0;
  COSMOS_RETURN_IF_ERROR(check(api.DeviceGet(&device, ordinal)));
  std::array<char, 256> name{};
  COSMOS_RETURN_IF_ERROR(check(api.DeviceGetName(name.data(), name.size() - 1, device)));
  info.name = name.data();
  CUuuid uuid{};
  COSMOS_RETURN_IF_ERROR(check(api.DeviceGetUuid(&uuid, device)));
  info.uuid = UuidText(uuid, info.name);
  COSMOS_RETURN_IF_ERROR(
      check(api.DeviceGetAttribute(&info.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)));
  COSMOS_RETURN_IF_ERROR(
      check(api.DeviceGetAttribute(&info.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)));
  COSMOS_RETURN_IF_ERROR(check(api.DeviceTotalMem(&info.total_bytes, device)));
  return info;
}

Result<Device*> Device::Open(Driver& driver, int ordinal) {
  return Devices::Global().Get({&driver, ordinal}, [&] { return Retain(driver, ordinal); });
}

Result<std::unique_ptr<Device>> Device::Retain(Driver& driver, int ordinal) {
  COSMOS_ASSIGN_OR_RETURN(auto info, DescribeDevice(driver, ordinal));
  CUdevice handle = 0;
  CUcontext context = nullptr;
  const std::string doing =
      "GPU " + std::to_string(ordinal) + " (" + info.name + ") cannot provide a context";
  COSMOS_RETURN_IF_ERROR(driver.Check(driver.api().DeviceGet(&handle, ordinal), doing, StatusCode::kLibrary));
  COSMOS_RETURN_IF_ERROR(
      driver.Check(driver.api().DevicePrimaryCtxRetain(&context, handle), doing, StatusCode::kLibrary));
  return std::unique_ptr<Device>(new Device(driver, std::move(info), context));
}

Status Device::MakeCurrent() const {
  return Check(api().CtxSetCurrent(context_),
               "the context of GPU " + std::to_string(info_.ordinal) + " cannot be made current");
}

Status Device::Check(CUresult result, std::string_view doing, StatusCode code) const {
  if (result == CUDA_SUCCESS) return {};
  Status status = driver_.Check(result, doing, code);
  if (status.code() == StatusCode::kDeviceLost) lost_.store(true, std::memory_order_release);
  return std::move(status).With("device", static_cast<double>(info_.ordinal));
}

Result<std::pair<std::size_t, std::size_t>> Device::MemoryInfo() const {
  std::pair<std::size_t, std::size_t> bytes;
  COSMOS_RETURN_IF_ERROR(MakeCurrent());
  COSMOS_RETURN_IF_ERROR(
      Check(api().MemGetInfo(&bytes.first, &bytes.second), "the memory of the GPU cannot be queried"));
  return bytes;
}

Result<DeviceBuffer> DeviceBuffer::Allocate(const Device& device, std::size_t bytes) {
  COSMOS_RETURN_IF_ERROR(device.MakeCurrent());
  DeviceBuffer buffer;
  COSMOS_RETURN_IF_ERROR(device.Check(device.api().MemAlloc(&buffer.address_, bytes),
                                      "cannot allocate " + std::to_string(bytes) + " bytes of GPU memory"));
  buffer.device_ = &device;
  buffer.bytes_ = bytes;
  return buffer;
}

DeviceBuffer::~DeviceBuffer() {
  if (device_ && device_->MakeCurrent().ok()) device_->api().MemFree(address_);
}

Result<PinnedBuffer> PinnedBuffer::Allocate(const Device& device, std::size_t bytes) {
  COSMOS_RETURN_IF_ERROR(device.MakeCurrent());
  PinnedBuffer buffer;
  void* data = nullptr;
  COSMOS_RETURN_IF_ERROR(
      device.Check(device.api().MemHostAlloc(&data, bytes, kHostAllocPortable),
                   "cannot allocate " + std::to_string(bytes) + " bytes of page-locked memory"));
  buffer.device_ = &device;
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.bytes_ = bytes;
  return buffer;
}

PinnedBuffer::~PinnedBuffer() {
  if (device_ && device_->MakeCurrent().ok()) device_->api().MemFreeHost(data_);
}

Result<Stream> MakeStream(const Device& device) {
  CUstream stream = nullptr;
  COSMOS_RETURN_IF_ERROR(
      device.Check(device.api().StreamCreate(&stream, kStreamNonBlocking), "cannot create a CUDA stream"));
  return Stream(device, stream);
}

Result<Event> MakeEvent(const Device& device) {
  CUevent event = nullptr;
  COSMOS_RETURN_IF_ERROR(
      device.Check(device.api().EventCreate(&event, kEventDisableTiming), "cannot create a CUDA event"));
  return Event(device, event);
}

Result<std::shared_ptr<DeviceBuffer>> BufferPool::Take(std::size_t bytes) {
  DeviceBuffer buffer;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(idle_, bytes, &DeviceBuffer::bytes);
    if (found != idle_.end()) {
      idle_bytes_ -= bytes;
      buffer = std::move(*found);
      idle_.erase(found);
    }
  }
  if (!buffer) {
    COSMOS_ASSIGN_OR_RETURN(buffer, Allocate(bytes));
  }
  const auto give_back = [pool = shared_from_this()](DeviceBuffer* used) {
    pool->Return(std::move(*used));
    delete used;
  };
  return std::shared_ptr<DeviceBuffer>(new DeviceBuffer(std::move(buffer)), give_back);
}

Result<DeviceBuffer> BufferPool::Allocate(std::size_t bytes) {
  auto made = DeviceBuffer::Allocate(device_, bytes);
  if (made.ok() || made.status().code() != StatusCode::kOutOfMemory) return made;
  Trim();
  return DeviceBuffer::Allocate(device_, bytes);
}

void BufferPool::Return(DeviceBuffer buffer) {
  if (buffer.bytes() > max_idle_bytes_) return;
  std::list<DeviceBuffer> too_many;  // declared before the lock, so freed after its release
  const std::lock_guard lock(mutex_);
  idle_bytes_ += buffer.bytes();
  idle_.push_front(std::move(buffer));
  while (idle_bytes_ > max_idle_bytes_) {
    idle_bytes_ -= idle_.back().bytes();
    too_many.splice(too_many.begin(), idle_, std::prev(idle_.end()));
  }
}

void BufferPool::Trim() {
  std::list<DeviceBuffer> idle;
  const std::lock_guard lock(mutex_);
  idle_bytes_ = 0;
  idle.swap(idle_);
}

}  // namespace cosmos::cuda
