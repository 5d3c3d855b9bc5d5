// The memory of ONNX Runtime's sessions, in huge pages where the system has them. A run reads every weight
// once, one after the other, so that with pages of 4 KiB it waits for the translation of addresses again and
// again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include "onnxruntime/abi.h"

namespace cosmos::ort {

// Weights are cut from slabs of whole huge pages, because most are smaller than one. Large tensors of a run
// have huge pages of their own, which are kept for the next run. What is small comes from malloc.
// Thread-safe.
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
  struct Slab {
    std::byte* end = nullptr;
    std::byte* next = nullptr;  // where the next weight begins
    std::map<std::byte*, std::size_t> weights;
  };

  static Memory& Of(Allocator* self) { return *static_cast<Memory*>(self); }
  void* OrThrow(void* block);
  // These return null where the system has no memory left.
  void* TakeForRun(std::size_t bytes);
  void* TakeWeight(std::size_t bytes);
  void Return(void* block);
  bool ReturnToRuns(void* block);
  bool ReturnWeight(std::byte* weight);

  const MemoryInfo* const info_;
  void (*const throw_bad_alloc_)();
  std::atomic<std::uint64_t> failures_ = 0;
  std::mutex mutex_;
  std::map<std::byte*, Slab> slabs_;               // by their first byte
  std::unordered_map<void*, std::size_t> in_use_;  // of runs, with the bytes that are mapped
  std::multimap<std::size_t, void*> kept_;         // for the next run, by the bytes that are mapped
};

}  // namespace cosmos::ort
