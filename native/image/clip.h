// The one thing that travels from decoder to engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace cosmos {

struct ClipShape {
  int frames = 8;
  int height = 224;
  int width = 224;

  std::size_t frame_bytes() const { return std::size_t{3} * height * width; }
  std::size_t bytes() const { return frame_bytes() * frames; }
  bool operator==(const ClipShape&) const = default;
};

// T frames of RGB, uint8, planar: [T, 3, H, W], in host memory. Immutable once its decoder has handed it on.
class Clip {
 public:
  explicit Clip(const ClipShape& shape)
      : shape_(shape), data_(static_cast<std::uint8_t*>(::operator new(shape.bytes(), kAlignment))) {}

  const ClipShape& shape() const { return shape_; }
  const std::uint8_t* data() const { return data_.get(); }
  std::uint8_t* frame(int index) { return data_.get() + shape_.frame_bytes() * index; }
  const std::uint8_t* frame(int index) const { return data_.get() + shape_.frame_bytes() * index; }

 private:
  // A cache line, which is also what the widest SIMD store wants.
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::uint8_t* data) const { ::operator delete(data, kAlignment); }
  };

  ClipShape shape_;
  std::unique_ptr<std::uint8_t, Free> data_;
};

using ClipPtr = std::shared_ptr<const Clip>;

}  // namespace cosmos
