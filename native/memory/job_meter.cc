#include "memory/job_meter.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

// No exceptions and nothing of the C++ library that is more than a header: this is linked into C.

struct cosmos_meter {
  explicit cosmos_meter(std::size_t most) : limit(most) {}

  // `more` bytes, for a block that has `size` with them.
  bool Take(std::size_t more, std::size_t size) {
    if (size < kMost) {
      const std::size_t held = bytes.fetch_add(more, std::memory_order_relaxed) + more;
      if (held <= limit) return true;
      exceeded.store(true, std::memory_order_relaxed);
      if (size <= kSmall && held <= limit + kReserve) return true;
      Give(more);
    }
    exceeded.store(true, std::memory_order_relaxed);
    return false;
  }
  // Whoever takes the last byte of a job that is over ends the meter.
  void Give(std::size_t size) {
    if (bytes.fetch_sub(size, std::memory_order_acq_rel) == size) {
      this->~cosmos_meter();
      std::free(this);
    }
  }

  // The job itself holds some bytes too, until it is over: its own.
  static constexpr std::size_t kOwn = 64;
  static constexpr std::size_t kSmall = std::size_t{4} << 20;
  static constexpr std::size_t kReserve = std::size_t{64} << 20;
  static constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 4;

  const std::size_t limit;
  std::atomic<std::size_t> bytes = kOwn;
  std::atomic<bool> exceeded = false;
};

namespace {

// Lies in front of what the caller gets.
struct Header {
  cosmos_meter* meter;
  std::size_t offset;  // of the caller's bytes in the whole
  std::size_t size;    // of the whole
};
constexpr std::size_t kLeastOffset = 32;
static_assert(sizeof(Header) <= kLeastOffset && kLeastOffset % alignof(std::max_align_t) == 0);

thread_local cosmos_meter* current = nullptr;

char* Behind(void* base, const Header& header) {
  char* block = static_cast<char*>(base) + header.offset;
  new (block - sizeof(Header)) Header(header);
  return block;
}

Header HeaderOf(void* block) { return *(static_cast<Header*>(block) - 1); }

void* Base(void* block) { return static_cast<char*>(block) - HeaderOf(block).offset; }

// A whole whose base `allocate` gives, or null.
template <typename Allocate>
char* NewBlock(std::size_t size, std::size_t offset, Allocate allocate) {
  if (size > std::numeric_limits<std::size_t>::max() - offset) return nullptr;
  const Header header{current, offset, size + offset};
  if (header.meter && !header.meter->Take(header.size, header.size)) return nullptr;
  void* base = allocate(header.size);
  if (base) return Behind(base, header);
  if (header.meter) header.meter->Give(header.size);
  return nullptr;
}

// What a new thread is to do. It lies in a block of the thread's job, which so outlives the thread.
struct Start {
  void* (*run)(void*);
  void* argument;
};

void* RunInJob(void* block) {
  current = HeaderOf(block).meter;
  const Start start = *static_cast<Start*>(block);
  void* result = start.run(start.argument);
  current = nullptr;
  cosmos_free(block);
  return result;
}

}  // namespace

extern "C" {

cosmos_meter* cosmos_meter_open(std::size_t limit) {
  void* memory = std::malloc(sizeof(cosmos_meter));
  const std::size_t most = std::min(limit, cosmos_meter::kMost) + cosmos_meter::kOwn;
  return memory ? new (memory) cosmos_meter(most) : nullptr;
}

void cosmos_meter_close(cosmos_meter* meter) {
  if (meter) meter->Give(cosmos_meter::kOwn);
}

cosmos_meter* cosmos_meter_enter(cosmos_meter* meter) {
  cosmos_meter* before = current;
  current = meter;
  return before;
}

std::size_t cosmos_meter_bytes(const cosmos_meter* meter) {
  return meter->bytes.load(std::memory_order_relaxed) - cosmos_meter::kOwn;
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

// Like glibc's, it does not keep more than the alignment of everything.
void* cosmos_realloc(void* block, std::size_t size) {
  if (!block) return cosmos_malloc(size);
  Header header = HeaderOf(block);
  if (size > std::numeric_limits<std::size_t>::max() - header.offset) return nullptr;
  const std::size_t before = header.size;
  header.size = header.offset + size;
  const bool grows = header.size > before;
  if (header.meter && grows && !header.meter->Take(header.size - before, header.size)) return nullptr;
  void* base = std::realloc(Base(block), header.size);
  if (!base) {
    if (header.meter && grows) header.meter->Give(header.size - before);
    return nullptr;
  }
  if (header.meter && !grows) header.meter->Give(before - header.size);
  return Behind(base, header);
}

void cosmos_free(void* block) {
  if (!block) return;
  const Header header = HeaderOf(block);
  std::free(Base(block));
  if (header.meter) header.meter->Give(header.size);
}

int cosmos_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                          void* argument) {
  void* block = cosmos_malloc(sizeof(Start));
  if (!block) return EAGAIN;
  new (block) Start{run, argument};
  const int error = pthread_create(thread, attributes, RunInJob, block);
  if (error != 0) cosmos_free(block);
  return error;
}

}  // extern "C"
