// Converts planar 4:2:0 pictures to RGB, with the same bits as the two steps of swscale that RgbConverter
// takes for other formats, and several times as fast.
#pragma once

#include <cstdint>
#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "image/rgb_image.h"
#include "image/yuv_matrix.h"

namespace cosmos {

class YuvConverter {
 public:
  // Whether it converts pictures of this format and size.
  static bool Converts(AVPixelFormat format, int width, int height);

  explicit YuvConverter(const YuvMatrix& matrix) : matrix_(matrix) {}

  void Convert(const AVFrame& frame, RgbImage& image);

 private:
  YuvMatrix matrix_;
  std::vector<std::uint16_t> scratch_;
};

}  // namespace cosmos
