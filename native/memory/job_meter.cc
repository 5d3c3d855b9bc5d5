#include "memory/job_meter.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

#include "memory/map_pages.h"

// Uses no exceptions and only header parts of the C++ library, because C programs link it.

struct cosmos_meter {
  explicit cosmos_meter(std::size_t most) : limit(most) {}

  // Reserves `more` bytes for a block whose total size becomes `size`.
  bool Reserve(std::size_t more, std::size_t size) {
    if (size < kMaxBytes) {
      const std::size_t held = bytes.fetch_add(more, std::memory_order_relaxed) + more;
      if (held <= limit) return true;
      exceeded.store(true, std::memory_order_relaxed);
      if (size <= kSmallBlock && held <= limit + kReserve) return true;
      Release(more);
    }
    exceeded.store(true, std::memory_order_relaxed);
    return false;
  }
  // The release of the last byte destroys the meter, so it must have been closed by then.
  void Release(std::size_t size) {
    if (bytes.fetch_sub(size, std::memory_order_acq_rel) == size) {
      this->~cosmos_meter();
      std::free(this);
    }
  }

  // An open job holds these bytes itself, so that the count reaches zero only after it is closed.
  static constexpr std::size_t kOpenBytes = 64;
  static constexpr std::size_t kSmallBlock = std::size_t{4} << 20;
  static constexpr std::size_t kReserve = std::size_t{64} << 20;
  static constexpr std::size_t kMaxBytes = std::numeric_limits<std::size_t>::max() / 4;

  const std::size_t limit;
  std::atomic<std::size_t> bytes = kOpenBytes;
  std::atomic<bool> exceeded = false;
};

namespace {

// Stored directly before the bytes that the caller gets.
struct Header {
  cosmos_meter* meter;
  std::size_t offset;  // of the caller's bytes within the allocation
  std::size_t size;    // of the allocation
  bool is_mapped;      // has pages of its own
};
constexpr std::size_t kLeastOffset = 32;
static_assert(sizeof(Header) <= kLeastOffset && kLeastOffset % alignof(std::max_align_t) == 0);

// Blocks from this size on are pages of their own, which go back to the system when they are freed: mostly
// the pictures of a decoder. glibc would do the same only until the first such block is freed. From then on
// it keeps them, in the arena of each thread, where they cannot serve another thread or program.
constexpr std::size_t kMappedSize = std::size_t{256} << 10;
// An alignment that every page has.
constexpr std::size_t kPageAlignment = 4096;

thread_local cosmos_meter* current = nullptr;

char* WriteHeader(void* base, const Header& header) {
  char* block = static_cast<char*>(base) + header.offset;
  new (block - sizeof(Header)) Header(header);
  return block;
}

Header HeaderOf(void* block) { return *(static_cast<Header*>(block) - 1); }

void* BaseOf(void* block) { return static_cast<char*>(block) - HeaderOf(block).offset; }

void FreeBase(void* base, const Header& header) {
  if (header.is_mapped) {
    munmap(base, header.size);
  } else {
    std::free(base);
  }
}

// Makes a block from pages or from what `allocate` returns, or returns null.
template <typename Allocate>
char* NewBlock(std::size_t size, std::size_t offset, Allocate allocate) {
  if (size > std::numeric_limits<std::size_t>::max() - offset) return nullptr;
  const bool is_mapped = size >= kMappedSize && offset <= kPageAlignment;
  const Header header{current, offset, size + offset, is_mapped};
  if (header.meter && !header.meter->Reserve(header.size, header.size)) return nullptr;
  void* base = is_mapped ? cosmos::MapPages(header.size) : allocate(header.size);
  if (base) return WriteHeader(base, header);
  if (header.meter) header.meter->Release(header.size);
  return nullptr;
}

// The base of the same bytes in an allocation of `header.size`, or null. A block keeps the kind of memory it
// has.
void* Resized(void* block, const Header& header, std::size_t before) {
  if (!header.is_mapped) return std::realloc(BaseOf(block), header.size);
  void* pages = mremap(BaseOf(block), before, header.size, MREMAP_MAYMOVE);
  return pages == MAP_FAILED ? nullptr : pages;
}

// The arguments of a new thread. They lie in a block of the thread's job, so the meter outlives the thread.
struct ThreadStart {
  void* (*run)(void*);
  void* argument;
};

void* RunInJob(void* block) {
  current = HeaderOf(block).meter;
  const ThreadStart start = *static_cast<ThreadStart*>(block);
  void* result = start.run(start.argument);
  current = nullptr;
  cosmos_free(block);
  return result;
}

}  // namespace

extern "C" {

cosmos_meter* cosmos_meter_open(std::size_t limit) {
  void* memory = std::malloc(sizeof(cosmos_meter));
  const std::size_t most = std::min(limit, cosmos_meter::kMaxBytes) + cosmos_meter::kOpenBytes;
  return memory ? new (memory) cosmos_meter(most) : nullptr;
}

void cosmos_meter_close(cosmos_meter* meter) {
  if (meter) meter->Release(cosmos_meter::kOpenBytes);
}

cosmos_meter* cosmos_meter_enter(cosmos_meter* meter) {
  cosmos_meter* before = current;
  current = meter;
  return before;
}

std::size_t cosmos_meter_bytes(const cosmos_meter* meter) {
  return meter->bytes.load(std::memory_order_relaxed) - cosmos_meter::kOpenBytes;
}

bool cosmos_meter_exceeded(const cosmos_meter* meter) {
  return meter->exceeded.load(std::memory_order_relaxed);
}

void* cosmos_malloc(std::size_t size) {
  return NewBlock(size, kLeastOffset, [](std::size_t whole) { return std::malloc(whole); });
}

int cosmos_posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  *block = NewBlock(size, std::max(alignment, kLeastOffset), [alignment](std::size_t whole) {
    void* base = nullptr;
    return posix_memalign(&base, alignment, whole) == 0 ? base : nullptr;
  });
  return *block ? 0 : ENOMEM;
}

// Like glibc's realloc, it preserves no alignment beyond that of std::max_align_t.
void* cosmos_realloc(void* block, std::size_t size) {
  if (!block) return cosmos_malloc(size);
  Header header = HeaderOf(block);
  if (size > std::numeric_limits<std::size_t>::max() - header.offset) return nullptr;
  const std::size_t before = header.size;
  header.size = header.offset + size;
  const bool grows = header.size > before;
  if (header.meter && grows && !header.meter->Reserve(header.size - before, header.size)) return nullptr;
  void* base = Resized(block, header, before);
  if (!base) {
    if (header.meter && grows) header.meter->Release(header.size - before);
    return nullptr;
  }
  if (header.meter && !grows) header.meter->Release(before - header.size);
  return WriteHeader(base, header);
}

void cosmos_free(void* block) {
  if (!block) return;
  const Header header = HeaderOf(block);
  FreeBase(BaseOf(block), header);
  if (header.meter) header.meter->Release(header.size);
}

int cosmos_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                          void* argument) {
  void* block = cosmos_malloc(sizeof(ThreadStart));
  if (!block) return EAGAIN;
  new (block) ThreadStart{run, argument};
  const int error = pthread_create(thread, attributes, RunInJob, block);
  if (error != 0) cosmos_free(block);
  return error;
}

}  // extern "C"
