// Memory with pages of its own, which are huge where the system has such: they take fewer faults to fill and
// fewer translations of addresses to read.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace cosmos {

// What must be added to reach a multiple of `alignment`, a power of two.
inline std::size_t Gap(std::uintptr_t value, std::size_t alignment) { return -value & (alignment - 1); }
inline std::size_t Gap(const std::byte* address, std::size_t alignment) {
  return Gap(reinterpret_cast<std::uintptr_t>(address), alignment);
}

inline std::size_t PageSize() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

// Memory for `bytes`, zeroed, to be freed with munmap. It begins at a huge page if it is as large as one, and
// what remains after the last has small pages. Null where the system has no memory left.
inline std::byte* MapPages(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const auto map = [](std::size_t size) {
    void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mapped == MAP_FAILED ? nullptr : static_cast<std::byte*>(mapped);
  };
  const std::size_t used = bytes + Gap(bytes, PageSize());
  if (used < bytes || used > SIZE_MAX - kHugePage) return nullptr;
  // The system aligns to small pages, so a huge page more is mapped, and what is too much unmapped.
  std::byte* const begin = used < kHugePage ? nullptr : map(used + kHugePage);
  if (begin == nullptr) return map(used);
  const std::size_t before = Gap(begin, kHugePage);
  if (before > 0) munmap(begin, before);
  munmap(begin + before + used, kHugePage - before);
  madvise(begin + before, used, MADV_HUGEPAGE);  // fails where there are small pages only
  return begin + before;
}

// Owns what MapPages returned.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : begin_(MapPages(bytes)), size_(bytes) {}
  Pages(Pages&& other) noexcept : begin_(std::exchange(other.begin_, nullptr)), size_(other.size_) {}
  Pages& operator=(Pages&&) = delete;
  ~Pages() {
    if (begin_ != nullptr) munmap(begin_, size_);
  }

  std::byte* begin() const { return begin_; }  // null where the system had no memory left
  std::byte* end() const { return begin_ + size_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* begin_;
  std::size_t size_;
};

}  // namespace cosmos
