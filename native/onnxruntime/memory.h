// The memory of ONNX Runtime's sessions, in huge pages where the system has them. A run reads every weight
// once, one after the other, so that with pages of 4 KiB it waits for the translation of addresses again and
// again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "memory/map_pages.h"
#include "onnxruntime/abi.h"

namespace cosmos::ort {

// Weights are cut from slabs, because most are smaller than a huge page. Large tensors of a run have mappings
// of their own, which are kept for the next run. What is small comes from malloc. Thread-safe.
class Memory final : public Allocator {
 public:
  // `info` must describe the host's memory and outlive this. `throw_bad_alloc` must throw std::bad_alloc.
  Memory(const MemoryInfo* info, void (*throw_bad_alloc)());
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // How often the system had no memory left. Where it grows during a call that fails, that is most likely
  // why.
  std::uint64_t failures() const { return failures_; }

  // Gives what is kept for the next run back to the system.
  void Shrink();

 private:
  struct Tensor {
    Pages pages;
    bool is_used;
    std::uint64_t returned;  // the larger, the later
  };
  struct Slab {
    Pages pages;
    std::byte* next;  // where the next weight begins
    std::map<std::byte*, std::size_t> weights;
  };

  static Memory& Of(Allocator* self) { return *static_cast<Memory*>(self); }
  void* OrThrow(void* block);
  // What `take` returns. Null where the system has no memory left.
  [[gnu::noinline]] void* Try(void* (Memory::*take)(std::size_t), std::size_t bytes) noexcept;
  void* TakeTensor(std::size_t bytes);
  void* TakeWeight(std::size_t bytes);
  Pages MapOrShrink(std::size_t bytes);
  void DropUnused(std::size_t most);
  void Drop(std::map<std::byte*, Tensor>::iterator unused);
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
  std::size_t used_ = 0;    // bytes of the tensors that are used
  std::size_t unused_ = 0;  // and of the others
  std::size_t peak_ = 0;    // the most that was used at a time
  std::uint64_t returns_ = 0;
};

}  // namespace cosmos::ort
