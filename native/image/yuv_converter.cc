#include "image/yuv_converter.h"

#include <algorithm>
#include <cstddef>

#include "image/cpu.h"
#include "image/yuv_kernels.h"

namespace cosmos {
namespace {

// The fastest kernels that this CPU runs.
const YuvKernels& Kernels() {
#if defined(__x86_64__)
  static const YuvKernels& kernels = HasAvx2() ? Avx2YuvKernels() : BaselineYuvKernels();
  return kernels;
#else
  return BaselineYuvKernels();
#endif
}

}  // namespace

bool YuvConverter::Converts(AVPixelFormat format, int width, int height) {
  // swscale does not interpolate fewer than four samples of chroma.
  constexpr int kLeast = 7;
  if (width < kLeast || height < kLeast) return false;
  return format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUV420P10;
}

void YuvConverter::Convert(const AVFrame& frame, RgbImage& image) {
  image.width = frame.width;
  image.height = frame.height;
  const std::size_t pitch = std::size_t{3} * image.width;
  image.data.resize(pitch * image.height);
  scratch_.resize(YuvScratch(frame.width));
  const auto* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  YuvLine line{.width = frame.width, .bit_depth = format->comp[0].depth};
  const auto at = [&](int plane, int y) {
    return frame.data[plane] + std::ptrdiff_t{1} * frame.linesize[plane] * y;
  };
  const int last = (frame.height + 1) / 2 - 1;
  for (int y = 0; y < frame.height; ++y) {
    const int near = y / 2;
    const int far = std::clamp(y % 2 == 0 ? near - 1 : near + 1, 0, last);
    line.luma = at(0, y);
    line.near_cb = at(1, near);
    line.near_cr = at(2, near);
    line.far_cb = at(1, far);
    line.far_cr = at(2, far);
    Kernels().to_rgb(line, matrix_, scratch_.data(), &image.data[pitch * y]);
  }
}

}  // namespace cosmos
