#include "media/limits/decode_watch.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

namespace cosmos {

Status DecodeWatch::TooManySlices(std::int64_t slices, std::int64_t pixels) {
  const std::int64_t most = kMaxPacketPixels / std::max<std::int64_t>(pixels, 1);
  return Status(StatusCode::kLimit, "a packet holds " + std::to_string(slices) + " slices or pictures of " +
                                        std::to_string(pixels) + " pixels each, more than the limit of " +
                                        std::to_string(most))
      .With("limit", static_cast<double>(most));
}

void DecodeWatch::Attach(AVCodecContext& context) {
  context.opaque = this;
  context.max_pixels = BufferMeter::PaddedPixels(max_pixels_);  // Allocate checks the exact size
  context.get_buffer2 = [](AVCodecContext* self, AVFrame* frame, int flags) {
    return Of(self).Allocate(self, frame, flags);
  };
  // libavcodec reports slices as they are decoded, with the context of the decoding thread, which then skips
  // the slices of the packet that it has not begun. MPEG-1, 2 and 4 would decode differently with this
  // callback.
  if (context.codec_id == AV_CODEC_ID_H264) {
    context.slice_flags = SLICE_FLAG_CODED_ORDER | SLICE_FLAG_ALLOW_FIELD;
    context.draw_horiz_band = [](AVCodecContext* self, const AVFrame*, int*, int, int, int) {
      if (Of(self).MustStop()) self->skip_frame = AVDISCARD_ALL;
    };
  }
  // Equals FFmpeg's single-threaded version, plus the check.
  context.execute = [](AVCodecContext* self, int (*run)(AVCodecContext*, void*), void* arguments,
                       int* results, int count, int bytes) {
    for (int i = 0; i < count; ++i) {
      const int result = Of(self).MustStop()
                             ? AVERROR_EXIT
                             : run(self, static_cast<char*>(arguments) + std::ptrdiff_t{i} * bytes);
      if (results) results[i] = result;
    }
    return 0;
  };
  context.execute2 = [](AVCodecContext* self, int (*run)(AVCodecContext*, void*, int, int), void* argument,
                        int* results, int count) {
    for (int i = 0; i < count; ++i) {
      const int result = Of(self).MustStop() ? AVERROR_EXIT : run(self, argument, i, 0);
      if (results) results[i] = result;
    }
    return 0;
  };
#if FF_API_THREAD_SAFE_CALLBACKS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  context.thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
}

Status DecodeWatch::CheckUnits(const UnitCount& units) {
  if (units.others <= kMaxOtherUnits && units.slices + units.others <= kMaxUnits) return {};
  const std::int64_t most = units.others > kMaxOtherUnits ? kMaxOtherUnits : kMaxUnits;
  const std::int64_t found = units.others > kMaxOtherUnits ? units.others : units.slices + units.others;
  return Status(StatusCode::kLimit, "a packet holds " + std::to_string(found) + " NAL units" +
                                        (most == kMaxOtherUnits ? " besides slices" : "") +
                                        ", more than the limit of " + std::to_string(most))
      .With("limit", static_cast<double>(most));
}

Status DecodeWatch::Admit(AVCodecID codec, const UnitCount& units) {
  COSMOS_RETURN_IF_ERROR(CheckUnits(units));
  const std::int64_t slices = units.slices;
  // dav1d's pictures are allocated without this callback, so their size is unknown here.
  if (codec == AV_CODEC_ID_AV1 && slices > kMaxPacketPixels / std::max<std::int64_t>(max_pixels_, 1)) {
    return TooManySlices(slices, max_pixels_);
  }
  if (slices > max_slices_) max_slices_ = slices;
  return {};
}

int DecodeWatch::Allocate(AVCodecContext* context, AVFrame* frame, int flags) {
  if (MustStop()) return AVERROR_EXIT;
  const std::int64_t pixels = std::int64_t{frame->width} * frame->height;
  if (max_slices_ > kMaxPacketPixels / std::max<std::int64_t>(pixels, 1)) refused_pixels_ = pixels;
  if (refused_pixels_ > 0) return AVERROR(ENOMEM);
  return meter_.Allocate(context, frame, flags);
}

bool DecodeWatch::MustStop() {
  if (!guard_ || stopped_) return stopped_;
  Status status = guard_->Check();
  if (status.ok()) return false;
  const std::lock_guard lock(mutex_);
  if (!stopped_) stop_status_ = std::move(status);
  stopped_ = true;
  return true;
}

Status DecodeWatch::CheckGuard() const {
  if (stopped_) return stop_status_;
  return guard_ ? guard_->Check() : Status();
}

Status DecodeWatch::Check() const {
  COSMOS_RETURN_IF_ERROR(CheckGuard());
  if (const std::int64_t pixels = refused_pixels_; pixels > 0) return TooManySlices(max_slices_, pixels);
  return meter_.Check();
}

}  // namespace cosmos
