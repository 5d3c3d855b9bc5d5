#include "isolation/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "base/shortage.h"

namespace cosmos {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Status SystemError(const char* call) {
  // Shared memory beyond a limit on files, or beyond what the system may promise.
  const bool full = errno == EFBIG || errno == ENOSPC;
  return SystemStatus(errno, call, full ? StatusCode::kOutOfMemory : StatusCode::kInternal);
}

// Pages that were never written are allocated when they are read, and if that fails, the reader is ended. A
// system that cannot tell of them fails the call.
bool HasHoles(const Descriptor& memory, std::int64_t bytes) {
  const off_t hole = lseek(memory.get(), 0, SEEK_HOLE);
  return hole >= 0 && hole < bytes;
}

}  // namespace

Result<Descriptor> SealedCopy(std::span<const std::span<const std::uint8_t>> parts) {
  Descriptor memory(memfd_create("cosmos-embed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return SystemError("memfd_create");
  for (std::span<const std::uint8_t> rest : parts) {
    while (!rest.empty()) {
      const ssize_t count = write(memory.get(), rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return SystemError("writing to shared memory");
      rest = rest.subspan(static_cast<std::size_t>(count));
    }
  }
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0)
    return SystemError("sealing shared memory");
  return memory;
}

Result<MediaBytes> MapSealed(const Descriptor& memory, std::int64_t bytes) {
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || SizeOf(memory) != bytes || HasHoles(memory, bytes)) {
    return Status(StatusCode::kInternal,
                  "shared memory is not sealed, not written, or not of the size that was announced");
  }
  if (bytes == 0) return MediaBytes{};
  const auto size = static_cast<std::size_t>(bytes);
  void* const data = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, memory.get(), 0);
  if (data == MAP_FAILED) return SystemError("mapping shared memory");
  std::shared_ptr<const void> owner(data,
                                    [size](const void* mapped) { munmap(const_cast<void*>(mapped), size); });
  return MediaBytes{{static_cast<const std::uint8_t*>(data), size}, std::move(owner)};
}

std::int64_t SizeOf(const Descriptor& memory) { return lseek(memory.get(), 0, SEEK_END); }

}  // namespace cosmos
