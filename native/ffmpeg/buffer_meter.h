// Counts the bytes of the pictures that a decoder holds and refuses to exceed a limit.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

class BufferMeter {
 public:
  BufferMeter(std::int64_t max_bytes, std::int64_t max_pixels)
      : state_(std::make_shared<State>()), max_bytes_(max_bytes), max_pixels_(max_pixels) {}

  // The value for AVCodecContext::max_pixels. FFmpeg checks it before it allocates its tables, against sizes
  // padded for SIMD, so it must be larger than `max_pixels`.
  static std::int64_t PaddedPixels(std::int64_t max_pixels);

  // Implements AVCodecContext::get_buffer2. Pictures may outlive the meter.
  int Allocate(AVCodecContext* context, AVFrame* frame, int flags);

  // Returns the limit that was exceeded, if any. From then on every allocation fails.
  Status Check() const;

 private:
  struct State {
    std::atomic<std::int64_t> bytes = 0;
  };
  struct Holder;

  std::shared_ptr<State> state_;
  std::int64_t max_bytes_;
  std::int64_t max_pixels_;
  std::atomic<bool> too_many_bytes_ = false;
  std::atomic<std::int64_t> too_many_pixels_ = 0;
};

}  // namespace cosmos
