// Decoded pictures to 8-bit RGB at their own size, the right way up.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "image/rgb_image.h"

namespace cosmos {

// How a stored picture must be turned to be looked at: first transposed (rows become columns), then mirrored.
struct Orientation {
  bool transpose = false;
  bool flip_x = false;
  bool flip_y = false;

  // From FFmpeg's 3x3 display matrix, as the ffmpeg command reads it: to the nearest degree. What is not a
  // multiple of 90 then counts as upright.
  static Orientation FromDisplayMatrix(const std::int32_t* matrix);
  // Clockwise degrees: 0, 90, 180 or 270. A mirroring is not counted.
  int degrees() const;
  bool upright() const { return !transpose && !flip_x && !flip_y; }
};

RgbImage Orient(RgbImage image, Orientation orientation);

// Which matrix a YUV picture is assumed to have that does not say.
enum class UntaggedMatrix {
  kBySize,  // BT.709 from 720 lines up, BT.601 below: video
  kBt601,   // still images
};

// How RGB comes from YUV, in swscale's own fixed point, so that other code can compute the same bits. From
// samples of 17 bits (of 15 that are multiplied by 4), chroma less its middle:
//   R = ((y - y_offset) * y_scale + cr * cr_to_r + 2^21) >> 22, clipped; and so on.
struct YuvMatrix {
  int y_offset = 0;
  int y_scale = 0;
  int cr_to_r = 0;
  int cr_to_g = 0;
  int cb_to_g = 0;
  int cb_to_b = 0;
  bool full_range = false;
  bool operator==(const YuvMatrix&) const = default;
};

// Of a picture with these tags, this many lines and bits per sample, as RgbConverter understands them.
YuvMatrix YuvMatrixOf(AVColorSpace colorspace, AVColorRange range, int lines, int bit_depth,
                      UntaggedMatrix untagged = UntaggedMatrix::kBySize);

// Chroma is interpolated, the picture's own matrix (BT.601, 709, 2020, ...) and range are applied, and HDR is
// not tone-mapped. Keeps its tables from picture to picture while the geometry stays the same.
//
// A sample of 4:2:0 chroma covers two pixels each way, the last of an odd size too: swscale would stretch the
// chroma of odd sizes over the picture, so it is given pictures whose size is whole samples of chroma.
//
// YUV goes through 4:4:4 with 16 bits: in one step from 4:2:0 swscale takes short cuts that differ from
// version to version of FFmpeg and skip the vertical interpolation of chroma. In two, FFmpeg 5.1 and 8 give
// the same bits.
class RgbConverter {
 public:
  explicit RgbConverter(UntaggedMatrix untagged = UntaggedMatrix::kBySize) : untagged_(untagged) {}

  Result<RgbImage> Convert(const AVFrame& frame);

 private:
  struct Geometry {
    int width = 0;
    int height = 0;
    AVPixelFormat format = AV_PIX_FMT_NONE;
    int matrix = 0;
    bool full_range = false;
    bool operator==(const Geometry&) const = default;
  };
  // What swscale takes: pointers into a frame, and into ours for what the frame lacks.
  struct Planes {
    std::array<const std::uint8_t*, 4> data{};
    std::array<int, 4> pitch{};
  };

  Geometry GeometryOf(const AVFrame& frame) const;
  Status Prepare(const Geometry& geometry);
  bool PrepareFullChroma(const Geometry& geometry);
  Planes WholePlanes(const AVFrame& frame);
  RgbImage ByLevels(const AVFrame& frame) const;

  UntaggedMatrix untagged_;
  Geometry geometry_;
  std::vector<std::uint8_t> levels_;  // 8 bits of every level, where that is all there is to it
  ff::ScalerContext to_full_chroma_;  // for YUV only
  ff::Frame whole_luma_;              // luma of whole samples of chroma, where the picture's is not
  ff::Frame full_chroma_;             // what comes out of it
  ff::ScalerContext to_rgb_;
};

}  // namespace cosmos
