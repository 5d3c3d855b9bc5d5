// Shrinks decoded pictures, to compare them cheaply.
#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "image/to_rgb.h"

namespace cosmos {

// A picture as a grid of cells, whatever its size and format: the mean luma and chroma of each, from 0 to
// 255. Grain and small movements vanish in the means.
struct Thumbnail {
  static constexpr int kColumns = 48;
  static constexpr int kRows = 27;
  static constexpr int kCells = kColumns * kRows;
  using Plane = std::array<float, kCells>;

  Plane luma{};
  Plane cb{};
  Plane cr{};
};

// The sum of the mean differences of luma, Cb and Cr.
double Difference(const Thumbnail& a, const Thumbnail& b);

class ThumbnailMaker {
 public:
  // The picture must lie in host memory.
  Result<Thumbnail> Make(const AVFrame& frame);

 private:
  RgbConverter to_rgb_;  // for formats that are not read directly, such as palettes
};

}  // namespace cosmos
