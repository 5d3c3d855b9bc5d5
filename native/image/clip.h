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
      : shape_(shape),
        own_(static_cast<std::uint8_t*>(::operator new(shape.bytes(), kAlignment))),
        data_(own_.get()) {}
  // Of pixels that exist already and that `owner` keeps alive, such as memory shared with another process.
  Clip(const ClipShape& shape, const std::uint8_t* pixels, std::shared_ptr<const void> owner)
      : shape_(shape), data_(pixels), owner_(std::move(owner)) {}
  Clip(const ClipShape& shape, std::unique_ptr<DevicePixels> pixels)
      : shape_(shape), device_pixels_(std::move(pixels)) {}

  const ClipShape& shape() const { return shape_; }
  // Null when the pixels are in host memory.
  const DevicePixels* device_pixels() const { return device_pixels_.get(); }

  // Valid only for clips in host memory.
  const std::uint8_t* data() const { return data_; }
  const std::uint8_t* frame(int index) const { return data_ + shape_.frame_bytes() * index; }
  // For the decoder that made the clip.
  std::uint8_t* frame(int index) { return own_.get() + shape_.frame_bytes() * index; }

  // Copies the pixels to `out`, which must hold shape().bytes() bytes, from wherever they are.
  Status CopyTo(std::uint8_t* out) const {
    if (device_pixels_) return device_pixels_->CopyToHost(out, shape_.bytes());
    std::memcpy(out, data_, shape_.bytes());
    return {};
  }

 private:
  // One cache line, which is also the alignment that the widest SIMD stores need.
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::uint8_t* data) const { ::operator delete(data, kAlignment); }
  };

  ClipShape shape_;
  std::unique_ptr<std::uint8_t, Free> own_;
  const std::uint8_t* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  std::unique_ptr<DevicePixels> device_pixels_;
};

using ClipPtr = std::shared_ptr<const Clip>;

}  // namespace cosmos
