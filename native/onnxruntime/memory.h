// The memory of ONNX Runtime's sessions, in huge pages where the system has them. A run reads every weight
// once, one after the other, so that with pages of 4 KiB it waits for the translation of addresses again and
// again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "onnxruntime/abi.h"

namespace cosmos::ort {

// Weights are cut from slabs, because most are smaller than a huge page. Large tensors of a run have mappings
// of their own, which are kept for the next run. What is small comes from malloc. Thread-safe.
class Memory final : public Allocator {
 public:
  // `info` must describe the host's memory and outlive this. `throw_bad_alloc` must throw std::bad_alloc.
  Memory(const MemoryInfo* info, void (*throw_bad_alloc)());
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // How often the system had no memory left. Where it grows during a call, that is why the call failed.
  std::uint64_t failures() const { return failures_; }

  // Gives what is kept for the next run back to the system.
  void Shrink();

 private:
  struct Tensor {
    std::size_t bytes = 0;  // of the mapping
    bool is_used = false;
  };
  struct Slab {
    std::byte* end = nullptr;
    std::byte* next = nullptr;  // where the next weight begins
    std::map<std::byte*, std::size_t> weights;
  };

  static Memory& Of(Allocator* self) { return *static_cast<Memory*>(self); }
  void* OrThrow(void* block);
  // What `take` returns. Null where the system has no memory left.
  [[gnu::noinline]] void* Try(void* (Memory::*take)(std::size_t), std::size_t bytes) noexcept;
  void* TakeTensor(std::size_t bytes);
  void* TakeWeight(std::size_t bytes);
  void Return(std::byte* block);
  bool ReturnTensor(std::byte* tensor);
  bool ReturnWeight(std::byte* weight);

  const MemoryInfo* const info_;
  void (*const throw_bad_alloc_)();
  std::atomic<std::uint64_t> failures_ = 0;
  std::mutex mutex_;
  // By their first byte.
  std::map<std::byte*, Tensor> tensors_;
  std::map<std::byte*, Slab> slabs_;
};

}  // namespace cosmos::ort
