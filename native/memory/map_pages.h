// Memory with pages of its own, which are huge where the system has such: they take fewer faults to fill and
// fewer translations of addresses to read.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

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
  // The system aligns to small pages, so a huge page more is mapped, and what is too much unmapped.
  const std::size_t spare = bytes < kHugePage ? 0 : kHugePage;
  const std::size_t used = bytes + Gap(bytes, PageSize());
  if (used < bytes || used > SIZE_MAX - spare) return nullptr;
  void* const mapped =
      mmap(nullptr, used + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(mapped);
  if (spare == 0) return begin;
  const std::size_t before = Gap(begin, kHugePage);
  if (before > 0) munmap(begin, before);
  munmap(begin + before + used, spare - before);
  madvise(begin + before, used, MADV_HUGEPAGE);  // fails where there are small pages only
  return begin + before;
}

}  // namespace cosmos
