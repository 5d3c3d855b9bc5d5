// A plan: the file that TensorRT made of a graph, for one version of it and one kind of GPU.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/status.h"
#include "tensorrt/library.h"

namespace cosmos::trt {

// Mapped, not read: its pages need no memory of ours once the library has them.
class PlanFile {
 public:
  // Fails with kModel: no such file, no plan.
  static Result<PlanFile> Map(const std::string& path);
  PlanFile(PlanFile&& other) noexcept
      : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  PlanFile& operator=(PlanFile&&) = delete;
  ~PlanFile();

  const std::string& path() const { return path_; }
  const void* data() const { return data_; }
  std::size_t size() const { return size_; }

  // What the first bytes say about who built it, before anything else is done with it. Fails with kLibrary
  // for another version than `library`'s, with kModel when it was not TensorRT. With `host_code` the plan may
  // bring a runtime of its own version.
  Status CheckHeader(const Library& library, bool host_code) const;

 private:
  PlanFile(std::string path, void* data, std::size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  void* data_;
  std::size_t size_;
};

}  // namespace cosmos::trt
