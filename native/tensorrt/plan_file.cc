#include "tensorrt/plan_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace cosmos::trt {
namespace {

// The header as NVIDIA's trtexec reads it: u32 tag, u32 serialisation version, 16 bytes, then major, minor,
// patch and build of TensorRT, one byte each.
constexpr std::uint32_t kTag = 0x74727466;
constexpr std::size_t kVersionOffset = 24;
constexpr std::size_t kHeaderBytes = 28;

Status Unreadable(const std::string& path, const std::string& reason) {
  return Status(StatusCode::kModel, "the plan " + path + " cannot be read: " + reason)
      .With("file", path)
      .With("reason", reason);
}

Status Corrupt(const std::string& path, const std::string& reason) {
  return Status(StatusCode::kModel, path + " is not a TensorRT plan: " + reason + "; build it again")
      .With("file", path)
      .With("reason", reason)
      .With("cause", "corrupt_plan");
}

}  // namespace

Result<PlanFile> PlanFile::Map(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Unreadable(path, std::strerror(errno));
  struct stat info {};
  void* data = MAP_FAILED;
  int error = fstat(file, &info) == 0 ? 0 : errno;
  const auto size = static_cast<std::size_t>(info.st_size);
  if (error == 0 && size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) error = errno;
  }
  close(file);
  if (error != 0) return Unreadable(path, std::strerror(error));
  if (size < kHeaderBytes) {
    if (data != MAP_FAILED) munmap(data, size);
    return Corrupt(path, "it has " + std::to_string(size) + " bytes");
  }
  return PlanFile(path, data, size);
}

PlanFile::~PlanFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

Status PlanFile::CheckHeader(const Library& library, bool host_code) const {
  std::array<std::uint8_t, kHeaderBytes> header{};
  std::memcpy(header.data(), data_, header.size());
  std::uint32_t tag = 0;
  std::uint32_t serialisation = 0;
  std::memcpy(&tag, header.data(), sizeof(tag));
  std::memcpy(&serialisation, header.data() + sizeof(tag), sizeof(serialisation));
  if (tag != kTag) return Corrupt(path_, "it does not begin with the tag of a plan");
  // Another serialisation may store the version elsewhere; TensorRT itself checks it then.
  if (serialisation != 0 || host_code) return {};
  const Version built{header[kVersionOffset], header[kVersionOffset + 1], header[kVersionOffset + 2],
                      header[kVersionOffset + 3]};
  // The file stores the low byte of each number.
  const auto byte = [](int number) { return number & 0xFF; };
  const Version& current = library.version();
  if (built == Version{byte(current.major), byte(current.minor), byte(current.patch), byte(current.build)})
    return {};
  return Status(StatusCode::kLibrary, "the plan " + path_ + " was built by TensorRT " + built.text() +
                                          ", but " + library.path() + " is " + current.text() +
                                          "; build it again with this version")
      .With("file", path_)
      .With("library", library.path())
      .With("expected", current.text())
      .With("found", built.text())
      .With("cause", "version_mismatch");
}

}  // namespace cosmos::trt
