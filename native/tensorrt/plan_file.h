// A plan: the serialized engine that TensorRT built from a graph, for one TensorRT version and one kind of
// GPU.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/status.h"
#include "tensorrt/library.h"

namespace cosmos::trt {

// Memory-mapped rather than read, so that the kernel can drop its pages once the library has deserialized it.
class PlanFile {
 public:
  // Fails with kModel if the file cannot be read or is too short for a plan.
  static Result<PlanFile> Map(const std::string& path);
  PlanFile(PlanFile&& other) noexcept
      : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  PlanFile& operator=(PlanFile&&) = delete;
  ~PlanFile();

  const std::string& path() const { return path_; }
  const void* data() const { return data_; }
  std::size_t size() const { return size_; }

  // Checks the header before the library parses the file. Fails with kModel if it is not a plan, and with
  // kLibrary if another version of TensorRT built it; with `host_code` any version passes, because the plan
  // may contain a runtime of its version.
  Status CheckHeader(const Library& library, bool host_code) const;

 private:
  PlanFile(std::string path, void* data, std::size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  void* data_;
  std::size_t size_;
};

}  // namespace cosmos::trt
