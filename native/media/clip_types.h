// What goes into media/ and what comes out: sources, requests, limits, clips and reports.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "image/clip.h"
#include "image/rgb_image.h"
#include "media/plan/frame_rule.h"

namespace cosmos {

class Gpu;

// Bytes owned by somebody else; `owner` keeps them alive for as long as any copy of this lives.
struct MediaBytes {
  std::span<const std::uint8_t> data;
  std::shared_ptr<const void> owner;
};
struct MediaPath {
  std::string path;
};
using MediaSource = std::variant<MediaPath, MediaBytes>;

// What one video may cost. A request can lower these, never raise them.
struct DecodeLimits {
  // Of one coded picture: what the highest levels of H.264, HEVC and AV1 allow. Converting a picture takes
  // ten bytes a pixel beside those that the decoder holds.
  std::int64_t max_pixels = std::int64_t{8192} * 4352;
  int max_streams = 16;
  int max_packets_without_frame = 20000;
  double max_wall_seconds = 300;
  std::int64_t max_bytes = std::int64_t{2} << 30;  // allocated for decoded pictures and packets
};

struct ClipRequest {
  ClipShape shape;
  // Presentation time in seconds from the first displayed frame; nothing = to the end.
  double start = 0;
  std::optional<double> end;
  FrameRule frame_rule;
  // A wanted frame may move by up to this many seconds to one that is cheaper to decode. 0 = exactly these.
  double frame_tolerance = 0;
  int threads = 1;           // of the decoder, >= 1
  bool keep_images = false;  // also return the chosen frames at their own size; decodes on the CPU
  std::shared_ptr<Gpu> gpu;  // decode with its NVDEC where that works and is not slower; null: on the CPU
  DecodeLimits limits;
};

// One clip per window of `seconds`, every `stride` seconds, over [request.start, request.end).
// The last window may be shorter; one shorter than half a window is dropped unless it is the only one.
struct Windows {
  double seconds = 8;
  double stride = 8;
};

struct FrameInfo {
  std::int64_t index = 0;  // among the displayable frames of the range, in presentation order
  double pts = 0;          // seconds on the same timeline as `start`
  bool keyframe = false;
};

// What it took, and anything the caller ought to know.
struct DecodeReport {
  std::string container;
  std::string codec;
  std::string pixel_format;
  std::string decoder;         // "software" | "nvdec" | "image"
  std::string decoder_reason;  // why that one, where a GPU was given and NVDEC did not decode all of it
  int width = 0;               // of the displayed picture, after rotation
  int height = 0;
  int rotation = 0;              // degrees clockwise that were applied: 0, 90, 180, 270
  double duration = 0;           // seconds, of the whole video where known, else of the range
  std::int64_t frame_count = 0;  // displayable frames in the range
  std::int64_t decoded = 0;      // pictures that the decoder was asked for
  std::int64_t discarded = 0;    // packets that went in and were skipped as unwanted non-reference pictures
  int seeks = 0;
  std::int64_t bytes_read = 0;
  double open_ms = 0;     // open, probe, index
  double wait_ms = 0;     // for an NVDEC engine
  double decode_ms = 0;   // demux and decode
  double convert_ms = 0;  // to RGB, rotate, resize
  int damaged = 0;        // frames of the clip that are stand-ins, patched up or decoded after damage
  std::vector<std::string> warnings;
};

struct DecodedClip {
  ClipPtr clip;
  double start = 0;  // seconds; the window for segments, the range for one clip
  double end = 0;
  std::vector<FrameInfo> frames;  // shape.frames of them, duplicates possible
  std::vector<RgbImage> images;   // as `frames`, when keep_images
  DecodeReport report;
};

}  // namespace cosmos
