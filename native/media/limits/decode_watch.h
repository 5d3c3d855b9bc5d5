// Limits the memory and time that a decoder takes within one call.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/status.h"
#include "ffmpeg/buffer_meter.h"
#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/access_unit.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// libavcodec cannot be interrupted within a packet. But it requests memory for each picture, runs slices
// through a callback in some codecs, and reports finished slices in H.264: those callbacks stop it. For all
// other cases, the slices of each packet are counted beforehand and bounded.
class DecodeWatch {
 public:
  // `guard` may be null; otherwise it must outlive this.
  DecodeWatch(const DecodeLimits& limits, const JobGuard* guard)
      : meter_(limits.max_bytes, limits.max_pixels), max_pixels_(limits.max_pixels), guard_(guard) {}

  // The most pixels that the slices of one packet may cost, counting a whole picture for each slice: 128
  // pictures of the highest levels of the codecs. An ordinary picture has up to 70 slices, a 1080-line video
  // conference a few hundred.
  static constexpr std::int64_t kMaxPacketPixels = std::int64_t{128} * 8192 * 4352;
  static Status TooManySlices(std::int64_t slices, std::int64_t pixels);
  // The units of one packet that libavcodec may split it into, whatever is in them.
  static constexpr std::int64_t kMaxUnits = 16'384;
  static constexpr std::int64_t kMaxOtherUnits = 4096;
  static Status CheckUnits(const UnitCount& units);

  // Installs the callbacks into `context`, which must not outlive this object. Call it before the context is
  // opened.
  void Attach(AVCodecContext& context);
  // Must be called for each packet before it is sent.
  Status Admit(AVCodecID codec, const UnitCount& units);
  // Returns why the job must stop. Check it before trusting that any output of a decoder is complete.
  Status CheckGuard() const;
  // The same, or the decoder limit that was exceeded.
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
  // Kept once a decoder was stopped: its output is incomplete, whatever the guard says later.
  std::mutex mutex_;
  Status stop_status_;
  std::atomic<bool> stopped_ = false;
  // The maximum over all packets so far: with several threads, the packet of a picture is unknown.
  std::atomic<std::int64_t> max_slices_ = 1;
  std::atomic<std::int64_t> refused_pixels_ = 0;
};

}  // namespace cosmos
