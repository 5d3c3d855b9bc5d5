#include "ffmpeg/buffer_meter.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>
#include <string>

namespace cosmos {

// Wraps a picture's first buffer so that the picture's release is observed wherever it happens.
struct BufferMeter::Holder {
  AVBufferRef* buffer;
  std::int64_t bytes;
  std::shared_ptr<State> state;
};

std::int64_t BufferMeter::PaddedPixels(std::int64_t max_pixels) {
  constexpr std::int64_t kPadding = 128 * 128;
  return std::min(max_pixels, std::numeric_limits<std::int64_t>::max() / 4) * 2 + kPadding;
}

int BufferMeter::Allocate(AVCodecContext* context, AVFrame* frame, int flags) {
  const std::int64_t pixels = std::int64_t{frame->width} * frame->height;
  if (pixels > max_pixels_) too_many_pixels_ = pixels;
  if (too_many_pixels_ > 0 || too_many_bytes_) return AVERROR(ENOMEM);
  const int least =
      av_image_get_buffer_size(static_cast<AVPixelFormat>(frame->format), frame->width, frame->height, 1);
  if (least > 0 && state_->bytes + least > max_bytes_) {
    too_many_bytes_ = true;
    return AVERROR(ENOMEM);
  }
  const int error = avcodec_default_get_buffer2(context, frame, flags);
  if (error < 0) return error;

  std::int64_t bytes = 0;
  for (const AVBufferRef* buffer : frame->buf) {
    if (buffer) bytes += static_cast<std::int64_t>(buffer->size);
  }
  auto* holder = new (std::nothrow) Holder{frame->buf[0], bytes, state_};
  AVBufferRef* metered = holder ? av_buffer_create(
                                      frame->buf[0]->data, frame->buf[0]->size,
                                      [](void* opaque, std::uint8_t*) {
                                        auto* self = static_cast<Holder*>(opaque);
                                        self->state->bytes -= self->bytes;
                                        av_buffer_unref(&self->buffer);
                                        delete self;
                                      },
                                      holder, 0)
                                : nullptr;
  if (!metered) {
    delete holder;
    av_frame_unref(frame);
    return AVERROR(ENOMEM);
  }
  state_->bytes += bytes;
  frame->buf[0] = metered;
  return 0;
}

Status BufferMeter::Check() const {
  if (const std::int64_t pixels = too_many_pixels_; pixels > 0) {
    return Status(StatusCode::kLimit, "a picture of " + std::to_string(pixels) +
                                          " pixels is larger than the limit maxPixels of " +
                                          std::to_string(max_pixels_))
        .With("pixels", static_cast<double>(pixels))
        .With("limit", static_cast<double>(max_pixels_));
  }
  if (too_many_bytes_) {
    return Status(StatusCode::kLimit, "decoded pictures need more memory than the limit maxBytes of " +
                                          std::to_string(max_bytes_) + " bytes")
        .With("limit", static_cast<double>(max_bytes_));
  }
  return {};
}

}  // namespace cosmos
