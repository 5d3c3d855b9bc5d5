// The one thing that travels from decoder to engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/status.h"

namespace cosmos {

struct ClipShape {
  int frames = 8;
  int height = 224;
  int width = 224;

  std::size_t frame_bytes() const { return std::size_t{3} * height * width; }
  std::size_t bytes() const { return frame_bytes() * frames; }
  bool operator==(const ClipShape&) const = default;
};

// Pixels in the memory of a GPU, complete: no stream still writes them.
class DevicePixels {
 public:
  virtual ~DevicePixels() = default;
  virtual int device() const = 0;             // its ordinal
  virtual std::uint64_t address() const = 0;  // in that device's memory
  virtual Status CopyToHost(std::uint8_t* out, std::size_t bytes) const = 0;
};

// T frames of RGB, uint8, planar: [T, 3, H, W], in host memory or in a GPU's. Immutable once its decoder has
// handed it on.
class Clip {
 public:
  explicit Clip(const ClipShape& shape)
      : shape_(shape), data_(static_cast<std::uint8_t*>(::operator new(shape.bytes(), kAlignment))) {}
  Clip(const ClipShape& shape, std::unique_ptr<DevicePixels> pixels)
      : shape_(shape), device_pixels_(std::move(pixels)) {}

  const ClipShape& shape() const { return shape_; }
  // Null: they are in host memory.
  const DevicePixels* device_pixels() const { return device_pixels_.get(); }

  // Of a clip in host memory.
  const std::uint8_t* data() const { return data_.get(); }
  std::uint8_t* frame(int index) { return data_.get() + shape_.frame_bytes() * index; }
  const std::uint8_t* frame(int index) const { return data_.get() + shape_.frame_bytes() * index; }

  // `out` holds shape().bytes().
  Status CopyTo(std::uint8_t* out) const {
    if (device_pixels_) return device_pixels_->CopyToHost(out, shape_.bytes());
    std::memcpy(out, data_.get(), shape_.bytes());
    return {};
  }

 private:
  // A cache line, which is also what the widest SIMD store wants.
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::uint8_t* data) const { ::operator delete(data, kAlignment); }
  };

  ClipShape shape_;
  std::unique_ptr<std::uint8_t, Free> data_;
  std::unique_ptr<DevicePixels> device_pixels_;
};

using ClipPtr = std::shared_ptr<const Clip>;

}  // namespace cosmos
