// A clip: the frames of one window of a video, as decoders produce them and engines consume them.
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

// Pixels in GPU memory. They are complete: no stream is still writing them.
class DevicePixels {
 public:
  virtual ~DevicePixels() = default;
  virtual int device() const = 0;             // ordinal of the GPU
  virtual std::uint64_t address() const = 0;  // in that GPU's memory
  virtual Status CopyToHost(std::uint8_t* out, std::size_t bytes) const = 0;
};

// T frames of planar 8-bit RGB, [T, 3, H, W], in host or GPU memory. Immutable once its decoder has handed it
// on.
class Clip {
 public:
  explicit Clip(const ClipShape& shape)
      : shape_(shape), data_(static_cast<std::uint8_t*>(::operator new(shape.bytes(), kAlignment))) {}
  Clip(const ClipShape& shape, std::unique_ptr<DevicePixels> pixels)
      : shape_(shape), device_pixels_(std::move(pixels)) {}

  const ClipShape& shape() const { return shape_; }
  // Null when the pixels are in host memory.
  const DevicePixels* device_pixels() const { return device_pixels_.get(); }

  // Valid only for clips in host memory.
  const std::uint8_t* data() const { return data_.get(); }
  std::uint8_t* frame(int index) { return data_.get() + shape_.frame_bytes() * index; }
  const std::uint8_t* frame(int index) const { return data_.get() + shape_.frame_bytes() * index; }

  // Copies the pixels to `out`, which must hold shape().bytes() bytes, from wherever they are.
  Status CopyTo(std::uint8_t* out) const {
    if (device_pixels_) return device_pixels_->CopyToHost(out, shape_.bytes());
    std::memcpy(out, data_.get(), shape_.bytes());
    return {};
  }

 private:
  // One cache line, which is also the alignment that the widest SIMD stores need.
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
