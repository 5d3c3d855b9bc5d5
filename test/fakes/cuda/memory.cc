// Memory with its bounds and owners, and copies.
#include <cstdlib>
#include <cstring>

#include "cuda/state.h"

namespace fakes {
namespace {

constexpr std::size_t kAlignment = 256;  // as cuMemAlloc
constexpr int kFresh = 0xCD;
constexpr int kFreed = 0xDD;
constexpr unsigned kHostFlags = 7;

void* Allocate(std::size_t bytes, const Allocation& allocation) {
  void* address = nullptr;
  if (posix_memalign(&address, kAlignment, bytes) != 0) return nullptr;
  std::memset(address, kFresh, bytes);
  TheState().memory[reinterpret_cast<std::uint64_t>(address)] = allocation;
  return address;
}

CUresult Free(State& state, std::uint64_t address, bool pinned) {
  const auto found = state.memory.find(address);
  if (found == state.memory.end() || found->second.pinned != pinned) {
    Misuse(std::string(pinned ? "page-locked" : "device") +
           " memory is freed that is not allocated: freed twice, or not by this library");
    return Error(1);
  }
  if (std::string what; IsPending(address, &what)) {
    Misuse("memory is freed that pending work still touches: " + what);
    RunUntilUnused(address);
  }
  if (!pinned && found->second.context != Current()) {
    Misuse("device memory is freed while the context of another device is current");
  }
  if (!pinned) found->second.context->used_bytes -= found->second.bytes;
  void* memory = reinterpret_cast<void*>(address);
  std::memset(memory, kFreed, found->second.bytes);
  state.memory.erase(found);
  std::free(memory);
  return CUDA_SUCCESS;
}

bool IsAccessible(CUdeviceptr address, std::size_t bytes) {
  const auto* found = Find(address, bytes);
  return found && (found->second.pinned || found->second.context == Current());
}

std::uint64_t Address(const void* memory) { return reinterpret_cast<std::uint64_t>(memory); }

// With `to_device` or `from_device`, that end must be accessible memory of the current device.
CUresult Copy(const char* symbol, std::uint64_t to, bool to_device, std::uint64_t from, bool from_device,
              std::size_t bytes, CUstream stream) {
  if (bytes == 0) return CUDA_SUCCESS;
  if ((to_device && !IsAccessible(to, bytes)) || (from_device && !IsAccessible(from, bytes))) return Error(1);
  return Enqueue(stream, symbol, {to, from}, [to, from, bytes] {
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  });
}

struct Plane {
  std::uint64_t start;
  std::size_t pitch;
  bool device;
};

// Nullopt when the kind of memory is unknown, or the plane is out of bounds.
std::optional<Plane> PlaneOf(CUmemorytype type, const void* host, CUdeviceptr device, std::size_t x,
                             std::size_t y, std::size_t pitch, const CUDA_MEMCPY2D& copy) {
  if (type != CU_MEMORYTYPE_HOST && type != CU_MEMORYTYPE_DEVICE) return std::nullopt;
  if (pitch == 0) pitch = copy.WidthInBytes;
  if (pitch < x + copy.WidthInBytes) return std::nullopt;
  const bool on_device = type == CU_MEMORYTYPE_DEVICE;
  const std::uint64_t start = (on_device ? device : Address(host)) + y * pitch + x;
  const std::size_t bytes = pitch * (copy.Height - 1) + copy.WidthInBytes;
  if (on_device && !IsAccessible(start, bytes)) return std::nullopt;
  return Plane{start, pitch, on_device};
}

}  // namespace

const std::pair<const std::uint64_t, Allocation>* Find(std::uint64_t address, std::size_t bytes) {
  State& state = TheState();
  auto after = state.memory.upper_bound(address);
  if (after == state.memory.begin()) return nullptr;
  const auto& found = *--after;
  return address + bytes <= found.first + found.second.bytes ? &found : nullptr;
}

FAKE_CUDA_API cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return Call("cuMemGetInfo_v2", Needs::kContext, [&](State&) {
    *total = Current()->total_bytes;
    *free = Current()->total_bytes - Current()->used_bytes;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
  return Call("cuMemAlloc_v2", Needs::kContext, [&](State&) {
    if (const auto rejected = RejectInCapture()) return *rejected;
    if (bytes == 0) return Error(1);
    if (bytes > Current()->total_bytes - Current()->used_bytes) return Error(2);
    void* memory = Allocate(bytes, {bytes, Current(), false});
    if (!memory) return Error(2);
    Current()->used_bytes += bytes;
    *address = Address(memory);
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuMemFree_v2(CUdeviceptr address) {
  return Call("cuMemFree_v2", Needs::kContext, [&](State& state) {
    if (const auto rejected = RejectInCapture()) return *rejected;
    return Free(state, address, false);
  });
}

FAKE_CUDA_API cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags) {
  return Call("cuMemHostAlloc", Needs::kContext, [&](State&) {
    if (const auto rejected = RejectInCapture()) return *rejected;
    if (bytes == 0 || flags > kHostFlags) return Error(1);
    *address = Allocate(bytes, {bytes, Current(), true});
    return *address ? CUDA_SUCCESS : Error(2);
  });
}

FAKE_CUDA_API cuMemFreeHost(void* address) {
  return Call("cuMemFreeHost", Needs::kContext, [&](State& state) {
    if (const auto rejected = RejectInCapture()) return *rejected;
    return Free(state, Address(address), true);
  });
}

FAKE_CUDA_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return Call("cuMemcpyHtoDAsync_v2", Needs::kContext, [&](State&) {
    return Copy("cuMemcpyHtoDAsync_v2", to, true, Address(from), false, bytes, stream);
  });
}

FAKE_CUDA_API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return Call("cuMemcpyDtoHAsync_v2", Needs::kContext, [&](State&) {
    return Copy("cuMemcpyDtoHAsync_v2", Address(to), false, from, true, bytes, stream);
  });
}

FAKE_CUDA_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return Call("cuMemcpyDtoDAsync_v2", Needs::kContext,
              [&](State&) { return Copy("cuMemcpyDtoDAsync_v2", to, true, from, true, bytes, stream); });
}

FAKE_CUDA_API cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
  return Call("cuMemcpy2DAsync_v2", Needs::kContext, [&](State&) {
    if (copy->WidthInBytes == 0 || copy->Height == 0) return CUDA_SUCCESS;
    const auto from = PlaneOf(copy->srcMemoryType, copy->srcHost, copy->srcDevice, copy->srcXInBytes,
                              copy->srcY, copy->srcPitch, *copy);
    const auto to = PlaneOf(copy->dstMemoryType, copy->dstHost, copy->dstDevice, copy->dstXInBytes,
                            copy->dstY, copy->dstPitch, *copy);
    if (!from || !to) return Error(1);
    const auto run = [from = *from, to = *to, width = copy->WidthInBytes, height = copy->Height] {
      for (std::size_t y = 0; y < height; ++y) {
        std::memmove(reinterpret_cast<void*>(to.start + y * to.pitch),
                     reinterpret_cast<const void*>(from.start + y * from.pitch), width);
      }
    };
    return Enqueue(stream, "cuMemcpy2DAsync_v2", {from->start, to->start}, run);
  });
}

FAKE_CUDA_API cuMemsetD8Async(CUdeviceptr address, unsigned char value, std::size_t bytes, CUstream stream) {
  return Call("cuMemsetD8Async", Needs::kContext, [&](State&) {
    if (bytes == 0) return CUDA_SUCCESS;
    if (!IsAccessible(address, bytes)) return Error(1);
    return Enqueue(stream, "cuMemsetD8Async", {address},
                   [address, value, bytes] { std::memset(reinterpret_cast<void*>(address), value, bytes); });
  });
}

}  // namespace fakes
