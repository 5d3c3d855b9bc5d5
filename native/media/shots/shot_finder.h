// Divides a range of a video into shots while it decodes every frame of it once.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/decode/picture_stream.h"
#include "media/decode/software_decoder.h"
#include "media/demux/demuxer.h"
#include "media/limits/job_guard.h"
#include "media/plan/decode_plan.h"
#include "media/scan/video_scan.h"
#include "media/scan/window_plan.h"
#include "media/shots/shot_detector.h"
#include "media/shots/thumbnail.h"

namespace cosmos {

struct Shot {
  SecondsRange range;
  // All of its pictures, ordered by `wanted`; empty when they were too many to keep, or damaged.
  std::vector<WantedPicture> pictures;
};

// Decodes on the CPU, because hardware would have to copy every picture back. It reads the source by itself,
// so that the clips can be read through another demuxer at the same time.
class ShotFinder {
 public:
  // All arguments must outlive the finder. The range is the one that RangeOf returns.
  static Result<std::unique_ptr<ShotFinder>> Open(const MediaSource& media, const VideoScan& scan,
                                                  const ClipRequest& request, const ShotOptions& options,
                                                  SecondsRange range, JobGuard& guard);

  // The next shot, or nothing after the last. The shots follow each other without gaps and cover the range.
  Result<std::optional<Shot>> Next();

  bool done() const { return ended_; }

  const DecodeCounts& counts() const { return pictures_->counts(); }
  int seeks() const { return pictures_->seeks(); }
  std::int64_t bytes_read() const { return demuxer_->bytes_read(); }

 private:
  ShotFinder(const VideoScan& scan, const ClipRequest& request, const ShotOptions& options,
             SecondsRange range);

  Status OpenDecoder(const MediaSource& media, const ClipRequest& request, JobGuard& guard);
  std::optional<Shot> Add(WantedPicture picture, const Thumbnail& thumbnail);
  std::optional<Shot> Finish();
  void Keep(WantedPicture picture);
  void DropBefore(int rank);
  Shot EndShot(int end_rank, double end);
  double SecondsAt(int rank) const { return scan_.Seconds(scan_.index.time(rank)); }

  const VideoScan& scan_;
  const SecondsRange range_;
  const std::int64_t max_kept_bytes_;
  const int first_rank_;  // of the range
  const int end_rank_;
  std::unique_ptr<Demuxer> demuxer_;
  std::unique_ptr<SoftwareDecoder> decoder_;
  DecodePlan plan_;
  std::unique_ptr<PictureStream> pictures_;
  ThumbnailMaker thumbnails_;
  ShotDetector detector_;

  int next_rank_;  // of the next picture
  int shot_rank_;  // the first of the shot
  double shot_start_;
  bool all_decoded_ = false;
  bool ended_ = false;
  std::deque<WantedPicture> kept_;  // the pictures of the ranks from kept_rank_ on
  int kept_rank_;
  std::int64_t kept_bytes_ = 0;
};

}  // namespace cosmos
