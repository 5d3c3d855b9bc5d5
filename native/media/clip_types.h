// The inputs and outputs of media/: sources, requests, limits, clips and reports.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/descriptor.h"
#include "image/clip.h"
#include "image/rgb_image.h"
#include "media/plan/frame_rule.h"

namespace cosmos {

class DecodingGpu;

// Bytes in memory. `owner` keeps them alive as long as any copy of this struct exists.
struct MediaBytes {
  std::span<const std::uint8_t> data;
  std::shared_ptr<const void> owner;
};
struct MediaPath {
  std::string path;
};
// A regular file that is open for reading.
struct MediaFile {
  std::shared_ptr<const Descriptor> descriptor;
};
using MediaSource = std::variant<MediaPath, MediaBytes, MediaFile>;

// Limits on what one video may cost. A request may lower them, never raise them.
struct DecodeLimits {
  // Pixels of a coded picture: the highest levels of H.264, HEVC and AV1 allow this many. Converting a
  // picture takes ten bytes per pixel in addition to the decoder's own memory.
  std::int64_t max_pixels = std::int64_t{8192} * 4352;
  int max_streams = 16;
  int max_packets_without_frame = 20000;
  double max_wall_seconds = 300;
  std::int64_t max_bytes = std::int64_t{2} << 30;  // of decoded pictures and packets
};

struct ClipRequest {
  ClipShape shape;
  // Seconds of presentation time after the first displayed frame. No `end`: to the end of the video.
  double start = 0;
  std::optional<double> end;
  FrameRule frame_rule;
  // Seconds by which a chosen frame may move to one that is cheaper to decode. 0: never.
  double frame_tolerance = 0;
  int threads = 1;           // of the CPU's decoder, 1 or more
  bool keep_images = false;  // also return the chosen frames at their own size; decodes on the CPU
  // Decodes with the GPU's hardware where that works and is estimated to be faster. Null: on the CPU.
  std::shared_ptr<DecodingGpu> gpu;
  // Clips of a bulk job that wait for a decoder behind this one. The more they are, the longer may the CPU
  // take for a clip that it decodes in place of busy hardware.
  int backlog = 0;
  DecodeLimits limits;
};

// Where a new shot begins: at a picture that differs from the one before.
struct ShotOptions {
  // How much two pictures differ: the mean difference of luma plus those of both chroma components, each from
  // 0 to 255. Above 0.
  double threshold = 14;
  // Seconds, 0 or more. No shot is shorter, and a change that is undone sooner is a flash.
  double min_seconds = 0.5;
};

// The most cuts that a caller may give.
inline constexpr std::uint32_t kMaxCuts = 100'000;

// How [request.start, request.end) is divided into clips: at shots, else at cuts, else into windows.
struct Windows {
  // One clip per window of `seconds`, every `stride` seconds. The last window may be shorter; it is dropped
  // when shorter than half a window, unless it is the only one.
  double seconds = 8;
  double stride = 8;
  // One clip from each of these times to the next, in seconds and ascending. Those outside the range, which
  // begins the first clip and ends the last, are ignored.
  std::optional<std::vector<double>> cuts = {};
  // One clip per shot, found while the video is decoded.
  std::optional<ShotOptions> shots = {};
};

// Of the frame that the picture shows. A substitute from outside the range counts as the range's nearest.
struct FrameInfo {
  std::int64_t index = 0;  // among the displayable frames of the range, in presentation order
  double pts = 0;          // seconds on the same timeline as `start`
  bool keyframe = false;
};

// How a clip was decoded and what that cost.
struct DecodeReport {
  std::string container;
  std::string codec;
  std::string pixel_format;
  std::string decoder;         // "software" | the backend's id, "nvdec" | "image"
  std::string decoder_reason;  // why the CPU decoded all or some of it, although there is a GPU
  int width = 0;               // of the displayed picture, after rotation
  int height = 0;
  int rotation = 0;              // degrees clockwise that were applied: 0, 90, 180, 270
  double duration = 0;           // seconds, of the whole video if known, else of the range
  std::int64_t frame_count = 0;  // displayable frames in the range
  std::int64_t decoded = 0;      // decoded pictures
  std::int64_t discarded = 0;    // packets that were skipped: no wanted picture refers to theirs
  int seeks = 0;
  std::int64_t bytes_read = 0;
  double open_ms = 0;     // open, probe, index
  double wait_ms = 0;     // for a slot of the hardware
  double decode_ms = 0;   // demux and decode
  double convert_ms = 0;  // to RGB, rotate, resize
  int damaged = 0;        // frames of the clip that are substitutes, concealed or decoded after damage
  std::vector<std::string> warnings;
};

struct DecodedClip {
  ClipPtr clip;
  double start = 0;  // seconds, of the window or the range
  double end = 0;
  std::vector<FrameInfo> frames;  // one per frame of the clip; a short video repeats frames
  std::vector<RgbImage> images;   // parallel to `frames`, with keep_images
  DecodeReport report;
};

}  // namespace cosmos
