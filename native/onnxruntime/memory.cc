#include "onnxruntime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <new>

#include "memory/map_pages.h"

namespace cosmos::ort {
namespace {

constexpr std::size_t kAlignment = 64;  // of the widest vector registers
constexpr std::size_t kSlab = std::size_t{64} << 20;
// Below these, malloc wastes less than whole pages would.
constexpr std::size_t kSmallestWeight = std::size_t{64} << 10;
constexpr std::size_t kSmallestTensor = std::size_t{128} << 10;

void* Malloc(std::size_t bytes) {
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, std::max(bytes, kAlignment)) == 0 ? block : nullptr;
}

}  // namespace

Memory::Memory(const MemoryInfo* info, void (*throw_bad_alloc)())
    : Allocator{
          .version = kAllocatorVersion,
          .Alloc =
              [](Allocator* self, std::size_t bytes) {
                return Of(self).OrThrow(Of(self).Try(&Memory::TakeTensor, bytes));
              },
          .Free = [](Allocator* self, void* block) { Of(self).Return(static_cast<std::byte*>(block)); },
          .Info = [](const Allocator* self) { return static_cast<const Memory*>(self)->info_; },
          .Reserve =
              [](Allocator* self, std::size_t bytes) {
                return Of(self).OrThrow(Of(self).Try(&Memory::TakeWeight, bytes));
              },
      },
      info_(info),
      throw_bad_alloc_(throw_bad_alloc) {}

Memory::~Memory() { Shrink(); }

// ONNX Runtime writes to what it gets without a look at it, and catches what its own allocators throw. The
// exception is of its C++ library, which can pass only frames that have nothing to clean up or to catch: they
// would ask the addon's own C++ library.
void* Memory::OrThrow(void* block) {
  if (block == nullptr) {
    ++failures_;
    throw_bad_alloc_();
  }
  return block;
}

void* Memory::Try(void* (Memory::*take)(std::size_t), std::size_t bytes) noexcept {
  try {
    return (this->*take)(bytes);
  } catch (const std::bad_alloc&) {  // no memory is left to note down a block
    return nullptr;
  }
}

void Memory::Shrink() {
  const std::lock_guard lock(mutex_);
  for (auto tensor = tensors_.begin(); tensor != tensors_.end();) {
    const auto [begin, kept] = *tensor;
    if (kept.is_used) {
      ++tensor;
    } else {
      tensor = tensors_.erase(tensor);
      munmap(begin, kept.bytes);
    }
  }
}

void* Memory::TakeTensor(std::size_t bytes) {
  if (bytes < kSmallestTensor) return Malloc(bytes);
  const std::lock_guard lock(mutex_);
  auto smallest = tensors_.end();  // that is large enough
  auto largest = tensors_.end();
  for (auto tensor = tensors_.begin(); tensor != tensors_.end(); ++tensor) {
    const auto& [size, is_used] = tensor->second;
    if (is_used) continue;
    if (size >= bytes && (smallest == tensors_.end() || size < smallest->second.bytes)) smallest = tensor;
    if (largest == tensors_.end() || size > largest->second.bytes) largest = tensor;
  }
  if (smallest == tensors_.end()) {
    // Instead of the largest that is kept, so that growing requests leave nothing behind.
    if (largest != tensors_.end()) {
      munmap(largest->first, largest->second.bytes);
      tensors_.erase(largest);
    }
    const std::size_t size = bytes + Gap(bytes, PageSize());
    std::byte* const begin = MapPages(size);
    if (begin == nullptr) return nullptr;
    smallest = tensors_.emplace(begin, Tensor{.bytes = size}).first;
  }
  smallest->second.is_used = true;
  return smallest->first;
}

void* Memory::TakeWeight(std::size_t bytes) {
  if (bytes < kSmallestWeight) return TakeTensor(bytes);
  const std::lock_guard lock(mutex_);
  auto found = std::find_if(slabs_.begin(), slabs_.end(), [&](const auto& entry) {
    return bytes <= static_cast<std::size_t>(entry.second.end - entry.second.next);
  });
  if (found == slabs_.end()) {
    const std::size_t size = std::max(bytes + Gap(bytes, PageSize()), kSlab);
    std::byte* const begin = MapPages(size);
    if (begin == nullptr) return nullptr;
    found = slabs_.emplace(begin, Slab{.end = begin + size, .next = begin, .weights = {}}).first;
  }
  Slab& slab = found->second;
  std::byte* const weight = slab.next;
  slab.weights.emplace(weight, bytes);
  slab.next += bytes + Gap(bytes, kAlignment);
  return weight;
}

void Memory::Return(std::byte* block) {
  if (block == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    if (ReturnTensor(block) || ReturnWeight(block)) return;
  }
  std::free(block);
}

bool Memory::ReturnTensor(std::byte* tensor) {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) return false;
  found->second.is_used = false;
  return true;
}

// The pages of a weight go back to the system at once. Its addresses are not used again: ONNX Runtime frees
// weights when it has packed them for the processor, and else those of a whole session.
bool Memory::ReturnWeight(std::byte* weight) {
  const auto after = slabs_.upper_bound(weight);
  if (after == slabs_.begin()) return false;
  const auto slab = std::prev(after);
  auto& weights = slab->second.weights;
  const auto found = weights.find(weight);
  if (found == weights.end()) return false;
  const std::size_t bytes = found->second;
  weights.erase(found);
  if (weights.empty()) {
    munmap(slab->first, slab->second.end - slab->first);
    slabs_.erase(slab);
    return true;
  }
  const std::size_t before = Gap(weight, PageSize());  // a page that the weight before has a part of
  if (bytes > before) madvise(weight + before, (bytes - before) & ~(PageSize() - 1), MADV_DONTNEED);
  return true;
}

}  // namespace cosmos::ort
