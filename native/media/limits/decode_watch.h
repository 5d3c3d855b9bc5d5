// What a decoder may cost while it is inside of a call: memory, and time.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/status.h"
#include "ffmpeg/buffer_meter.h"
#include "ffmpeg/ffmpeg.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// libavcodec cannot be interrupted inside of a packet, but it asks for the memory of each picture, hands over
// its slices one by one in some codecs, and tells of finished ones in H.264: there it is stopped. Where it
// does none of this, what one packet may cost is bounded by what is counted in it before.
class DecodeWatch {
 public:
  // `guard` may be null. Where it is not, it must outlive this.
  DecodeWatch(const DecodeLimits& limits, const JobGuard* guard)
      : meter_(limits.max_bytes, limits.max_pixels), max_pixels_(limits.max_pixels), guard_(guard) {}

  // The most pixels that the slices of one packet may make a decoder walk over, each of them over a whole
  // picture: 128 pictures of the highest levels of the codecs. An ordinary picture has up to 70 slices, one
  // of a video conference in 1080 lines a few hundred.
  static constexpr std::int64_t kMostPacketPixels = std::int64_t{128} * 8192 * 4352;
  static Status TooManySlices(std::int64_t slices, std::int64_t pixels);

  // Makes `context` ask this object, which must outlive it. Before it is opened.
  void Attach(AVCodecContext& context);
  // Each packet before it is sent, with the slices or pictures that are in it.
  Status Admit(AVCodecID codec, std::int64_t slices);
  // Why the job is to stop. Asked before anything that came out of a decoder is believed to be whole.
  Status CheckGuard() const;
  // The same, or the limit that was hit.
  Status Check() const;

 private:
  static DecodeWatch& Of(const AVCodecContext* context) {
    return *static_cast<DecodeWatch*>(context->opaque);
  }

  bool MustStop();
  int Allocate(AVCodecContext* context, AVFrame* frame, int flags);

  BufferMeter meter_;
  const std::int64_t max_pixels_;
  const JobGuard* guard_;
  // Once a decoder was stopped, what it gives is not whole, whatever the guard says to the next call.
  std::mutex mutex_;
  Status stop_;
  std::atomic<bool> stopped_ = false;
  // Of any packet so far: where several threads decode, which one a picture belongs to is not known.
  std::atomic<std::int64_t> most_slices_ = 1;
  std::atomic<std::int64_t> refused_pixels_ = 0;
};

}  // namespace cosmos
