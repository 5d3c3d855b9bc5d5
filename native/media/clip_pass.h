// Makes the clips of windows that are known in advance, in one pass over an opened video.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "image/to_rgb.h"
#include "media/clip_decoder.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/device_clip_writer.h"
#include "media/scan/window_plan.h"

namespace cosmos {

// What several passes over a video share.
struct OpenedVideo {
  MediaSource media;
  std::unique_ptr<Demuxer> demuxer;
  VideoScan scan;
  Orientation orientation;
};

class ClipPass {
 public:
  // All arguments must outlive the pass.
  ClipPass(const OpenedVideo& video, const ClipRequest& request, JobGuard& guard)
      : video_(video), request_(request), guard_(guard) {}

  // `pictures`, ordered by `wanted`, are used instead of decoding if they include all that the windows need.
  // They must be whole, and from the CPU.
  Status Open(std::vector<ClipWindow> windows, std::span<const WantedPicture> pictures = {});
  // The first report includes `open_ms`, and leaves out the bytes that reports of earlier passes have.
  void AddCost(double open_ms, std::int64_t bytes_reported) {
    spent_.open_ms += open_ms;
    reported_.bytes_read += bytes_reported;
  }

  // The next clip, or nothing after the last.
  Result<std::optional<DecodedClip>> Next();
  bool done() const { return window_ == static_cast<int>(windows_.size()); }

 private:
  // One use of a packet's picture: as frame `slot` of a clip.
  struct Use {
    int place = 0;
    int clip = 0;
    int slot = 0;
  };
  struct OpenClip {
    DeviceClipWriter writer;
    std::vector<FrameInfo> frames;
    int missing = 0;
    int damaged = 0;
    bool from_hardware = false;  // the hardware decoded some of the frames
    bool from_cpu = false;       // the CPU decoded some of the frames
  };

  bool TakeFrom(std::span<const WantedPicture> pictures);
  void PlanUses(const std::vector<int>& ranks);
  Status TakePictures();
  Status TakeGiven();
  Status TakePicture();
  Status AddPicture(const WantedPicture& picture);
  FrameInfo InfoOf(int rank, const ClipWindow& window) const;
  Result<OpenClip*> OpenClipAt(int clip);
  const ClipWindow& WindowOf(int clip) const { return windows_[window_of_clip_[clip]]; }
  Result<DecodedClip> FinishClip();
  DecodedClip RepeatClip();
  DecodeReport Report(bool by_hardware);

  const OpenedVideo& video_;
  const ClipRequest& request_;
  JobGuard& guard_;
  std::vector<ClipWindow> windows_;
  DecodePlan plan_;
  std::vector<Use> uses_;  // by place
  // All pictures of the plan, in presentation order; empty when they are decoded.
  std::vector<WantedPicture> given_;
  std::unique_ptr<ClipDecoder> decoder_;  // null when they are given
  RgbConverter to_rgb_;
  RgbImage image_;  // the last picture of host memory

  int window_ = 0;                     // the next to return
  std::vector<int> window_of_clip_;    // the first window of each clip; windows that repeat it share the clip
  int clip_ = 0;                       // the next to finish
  std::deque<OpenClip> open_;          // clip_, clip_ + 1, ...
  std::optional<DecodedClip> shared_;  // the last clip, while the next window repeats it
  DecodeReport spent_;                 // the cost so far
  DecodeReport reported_;              // the part of it that is in the reports of returned clips
  int reported_damage_ = 0;
};

}  // namespace cosmos
