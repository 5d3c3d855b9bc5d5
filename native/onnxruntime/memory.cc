#include "onnxruntime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <new>
#include <utility>

namespace cosmos::ort {
namespace {

constexpr std::size_t kAlignment = 64;  // of the widest vector registers
constexpr std::size_t kSlab = std::size_t{64} << 20;
// Below these, malloc wastes less than whole pages would.
constexpr std::size_t kSmallestWeight = std::size_t{64} << 10;
constexpr std::size_t kSmallestTensor = std::size_t{128} << 10;

// ONNX Runtime's own allocators give this much more than they are asked for: kernels for ARM64 read up to 30
// bytes behind a tensor.
constexpr std::size_t kReadBehind = 64;
constexpr std::size_t kMost = SIZE_MAX / 4;
// A kept tensor serves requests of half its size and more, and a little one any.
constexpr std::size_t kMostWaste = 2;
constexpr std::size_t kLittle = std::size_t{16} << 20;

void* Malloc(std::size_t bytes) {
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, bytes) == 0 ? block : nullptr;
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

// ONNX Runtime writes to what it gets without a look at it, and turns std::bad_alloc into the failure of a
// call. The exception is of its C++ library, which can pass only frames that have nothing to clean up or to
// catch: they would ask the addon's own C++ library.
void* Memory::OrThrow(void* block) {
  if (block == nullptr) {
    ++failures_;
    throw_bad_alloc_();
  }
  return block;
}

void* Memory::Try(void* (Memory::*take)(std::size_t), std::size_t bytes) noexcept {
  if (bytes > kMost) return nullptr;
  try {
    return (this->*take)(bytes + kReadBehind);
  } catch (const std::bad_alloc&) {  // no memory is left to note down a block
    return nullptr;
  }
}

void Memory::Shrink() {
  const std::lock_guard lock(mutex_);
  DropUnused(0);
  peak_ = used_;
}

// Those first that have been unused for longest, until `most` bytes of them remain.
void Memory::DropUnused(std::size_t most) {
  while (unused_ > most) {
    auto oldest = tensors_.end();
    for (auto tensor = tensors_.begin(); tensor != tensors_.end(); ++tensor) {
      if (tensor->second.is_used) continue;
      if (oldest == tensors_.end() || tensor->second.returned < oldest->second.returned) oldest = tensor;
    }
    Drop(oldest);
  }
}

void Memory::Drop(std::map<std::byte*, Tensor>::iterator unused) {
  unused_ -= unused->second.pages.size();
  tensors_.erase(unused);
}

Pages Memory::MapOrShrink(std::size_t bytes) {
  Pages pages(bytes);
  if (pages.begin() != nullptr || unused_ == 0) return pages;
  DropUnused(0);
  return Pages(bytes);
}

void* Memory::TakeTensor(std::size_t bytes) {
  if (bytes < kSmallestTensor) return Malloc(bytes);
  const std::lock_guard lock(mutex_);
  const std::size_t most = std::max(kMostWaste * bytes, kLittle);
  auto found = tensors_.end();  // the smallest that is large enough
  auto below = tensors_.end();  // the largest that is not
  for (auto tensor = tensors_.begin(); tensor != tensors_.end(); ++tensor) {
    const std::size_t size = tensor->second.pages.size();
    if (tensor->second.is_used || size > most) continue;
    if (size < bytes) {
      if (below == tensors_.end() || size > below->second.pages.size()) below = tensor;
    } else if (found == tensors_.end() || size < found->second.pages.size()) {
      found = tensor;
    }
  }
  if (found != tensors_.end()) {
    unused_ -= found->second.pages.size();
  } else {
    // Instead of one that is too small, so that growing runs leave nothing behind.
    if (below != tensors_.end()) Drop(below);
    Pages pages = MapOrShrink(bytes);
    std::byte* const begin = pages.begin();
    if (begin == nullptr) return nullptr;
    found = tensors_.emplace(begin, Tensor{std::move(pages), /*is_used=*/true, /*returned=*/0}).first;
  }
  found->second.is_used = true;
  used_ += found->second.pages.size();
  peak_ = std::max(peak_, used_);
  // Enough for one of each size that recurs, each twice as large as the one before.
  DropUnused(std::max(kMostWaste * peak_, kLittle) - used_);
  return found->first;
}

void* Memory::TakeWeight(std::size_t bytes) {
  if (bytes < kSmallestWeight) return TakeTensor(bytes);
  const std::lock_guard lock(mutex_);
  auto found = std::find_if(slabs_.begin(), slabs_.end(), [&](const auto& entry) {
    return bytes <= static_cast<std::size_t>(entry.second.pages.end() - entry.second.next);
  });
  if (found == slabs_.end()) {
    Pages pages = MapOrShrink(std::max(bytes + Gap(bytes, PageSize()), kSlab));
    std::byte* const begin = pages.begin();
    if (begin == nullptr) return nullptr;
    found = slabs_.emplace(begin, Slab{std::move(pages), begin, {}}).first;
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
  const std::size_t size = found->second.pages.size();
  found->second.is_used = false;
  found->second.returned = ++returns_;
  used_ -= size;
  unused_ += size;
  return true;
}

// Gives the pages of a weight back to the system. Its addresses are not used again: ONNX Runtime frees
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
    slabs_.erase(slab);
    return true;
  }
  const std::size_t before = Gap(weight, PageSize());  // a page that the weight before has a part of
  if (bytes > before) madvise(weight + before, (bytes - before) & ~(PageSize() - 1), MADV_DONTNEED);
  return true;
}

}  // namespace cosmos::ort
