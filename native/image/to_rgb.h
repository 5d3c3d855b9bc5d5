// Converts decoded pictures to 8-bit RGB at their own size and turns them upright.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "image/rgb_image.h"
#include "image/yuv_converter.h"
#include "image/yuv_matrix.h"

namespace cosmos {

// How to turn a stored picture for display: first transpose (rows become columns), then mirror.
struct Orientation {
  bool transpose = false;
  bool flip_x = false;
  bool flip_y = false;

  // Reads FFmpeg's 3x3 display matrix as the ffmpeg command does: rounds the rotation to the nearest degree
  // and treats anything but a multiple of 90 as upright.
  static Orientation FromDisplayMatrix(const std::int32_t* matrix);
  // Clockwise rotation: 0, 90, 180 or 270 degrees. Ignores mirroring.
  int degrees() const;
  bool upright() const { return !transpose && !flip_x && !flip_y; }
};

RgbImage Orient(RgbImage image, Orientation orientation);

// The matrix assumed for YUV pictures that declare none.
enum class UntaggedMatrix {
  kBySize,  // video: BT.709 from 720 lines up, BT.601 below
  kBt601,   // still images
};

// The matrix that RgbConverter uses for a picture with these tags, lines and bits per sample.
YuvMatrix YuvMatrixOf(AVColorSpace colorspace, AVColorRange range, int lines, int bit_depth,
                      UntaggedMatrix untagged = UntaggedMatrix::kBySize);

// Interpolates chroma, applies the picture's own matrix (BT.601, 709, 2020, ...) and range, and does not
// tone-map HDR. Reuses its tables while the geometry of the pictures stays the same.
//
// A 4:2:0 chroma sample covers two pixels each way, including the last one of an odd size. swscale would
// stretch the chroma of odd sizes over the picture instead, so it only gets pictures padded to whole chroma
// samples.
//
// YUV goes through 16-bit 4:4:4: in one step from 4:2:0, swscale takes shortcuts that differ between versions
// of FFmpeg and skip the vertical interpolation of chroma. In two steps, FFmpeg 5.1 and 8 give the same bits.
// Planar 4:2:0, as nearly all videos are, goes through YuvConverter, which gives these bits in one step.
class RgbConverter {
 public:
  explicit RgbConverter(UntaggedMatrix untagged = UntaggedMatrix::kBySize) : untagged_(untagged) {}

  Result<RgbImage> Convert(const AVFrame& frame);
  // The same into an image whose memory is used again, which spares a large picture's time twice: the system
  // hands out new memory page by page.
  Status Convert(const AVFrame& frame, RgbImage& image);

 private:
  struct Geometry {
    int width = 0;
    int height = 0;
    AVPixelFormat format = AV_PIX_FMT_NONE;
    int matrix = 0;
    bool full_range = false;
    bool operator==(const Geometry&) const = default;
  };
  // The planes for swscale: pointers into the frame, or into padded_luma_.
  struct Planes {
    std::array<const std::uint8_t*, 4> data{};
    std::array<int, 4> pitch{};
  };

  Geometry GeometryOf(const AVFrame& frame) const;
  Status Prepare(const Geometry& geometry);
  bool PrepareFullChroma(const Geometry& geometry);
  Planes PaddedPlanes(const AVFrame& frame);
  void ConvertByTable(const AVFrame& frame, RgbImage& image) const;

  UntaggedMatrix untagged_;
  Geometry geometry_;
  std::vector<std::uint8_t> level_table_;  // the byte of each level, for formats that need no matrix
  std::optional<YuvConverter> yuv_;        // for planar 4:2:0; the members below are for the other formats
  ff::ScalerContext to_full_chroma_;       // only for YUV
  ff::Frame padded_luma_;                  // luma padded to whole chroma samples, if it is not
  ff::Frame full_chroma_;                  // the output of to_full_chroma_
  ff::ScalerContext to_rgb_;
};

}  // namespace cosmos
