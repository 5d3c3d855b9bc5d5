#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "image/cpu.h"
#include "image/resize_filter.h"
#include "image/resize_kernels.h"

namespace cosmos {
namespace {

constexpr int kChannels = 3;

// The fastest kernels that this CPU runs.
const ResizeKernels& Kernels() {
#if defined(__x86_64__)
  static const ResizeKernels& kernels = HasAvx2() ? Avx2ResizeKernels() : BaselineResizeKernels();
  return kernels;
#else
  return BaselineResizeKernels();
#endif
}

// The memory layout of a row of pixels.
struct RowLayout {
  int pixel_stride;
  int channel_stride;
};

// Resizes rows [first, first + count) of `src` horizontally to `width` pixels each. Writes them one after the
// other to `dst`, which has kReadSlack spare bytes.
void ResizeRows(const RgbImage& src, int first, int count, int width, RowLayout layout, std::uint8_t* dst) {
  const std::size_t src_stride = std::size_t{kChannels} * src.width;
  const std::size_t dst_stride = std::size_t{kChannels} * width;
  if (width == src.width) {
    for (int y = 0; y < count; ++y) {
      const std::uint8_t* from = src.data.data() + src_stride * (first + y);
      std::uint8_t* to = dst + dst_stride * y;
      for (int x = 0; x < width; ++x) {
        for (int c = 0; c < kChannels; ++c) {
          to[x * layout.pixel_stride + c * layout.channel_stride] = from[x * kChannels + c];
        }
      }
    }
    return;
  }

  const ResizeKernels& kernels = Kernels();
  const ResizeFilter filter = TriangleFilter(src.width, width);
  const int steps = (kChannels * filter.taps + kernels.lanes - 1) / kernels.lanes;
  std::vector<std::int32_t> offsets(width);
  std::vector<std::int32_t> weights(std::size_t{1} * width * steps * kernels.lanes);
  for (int x = 0; x < width; ++x) {
    offsets[x] = kChannels * filter.first[x];
    std::int32_t* per_byte = weights.data() + std::size_t{1} * x * steps * kernels.lanes;
    for (int i = 0; i < kChannels * filter.taps; ++i) per_byte[i] = filter.row(x)[i / kChannels];
  }
  const HorizontalFilter bytes_filter{offsets.data(), weights.data(), width, steps};

  // The padded taps of a row may reach into the rows below it. Rows with too little below them are read from
  // a padded copy.
  const std::size_t reach = std::size_t{1} * steps * kernels.lanes;
  std::vector<std::uint8_t> padded(src_stride + reach);
  for (int y = 0; y < count; ++y) {
    const std::size_t offset = src_stride * (first + y);
    const std::uint8_t* row = src.data.data() + offset;
    if (offset + src_stride + reach > src.data.size()) {
      std::memcpy(padded.data(), row, src_stride);
      row = padded.data();
    }
    kernels.horizontal(row, bytes_filter, dst + dst_stride * y, layout.pixel_stride, layout.channel_stride);
  }
}

// Runs both passes. Splits each output row into `parts` equal pieces and writes piece i to dst + i *
// part_stride.
void ResizeInto(const RgbImage& src, int width, int height, RowLayout layout, int parts, std::uint8_t* dst) {
  const int row_bytes = kChannels * width;
  const int part_bytes = row_bytes / parts;
  const std::size_t part_stride = std::size_t{1} * part_bytes * height;
  const ResizeFilter filter = TriangleFilter(src.height, height);
  const int first = filter.first.front();
  const int count = filter.first.back() + filter.count.back() - first;

  std::vector<std::uint8_t> rows(std::size_t{1} * row_bytes * count + kReadSlack);
  ResizeRows(src, first, count, width, layout, rows.data());

  for (int y = 0; y < height; ++y) {
    const std::uint8_t* source = rows.data() + std::size_t{1} * row_bytes * (filter.first[y] - first);
    for (int i = 0; i < parts; ++i) {
      const std::uint8_t* from = source + i * part_bytes;
      std::uint8_t* to = dst + part_stride * i + std::size_t{1} * part_bytes * y;
      if (height == src.height) {
        std::memcpy(to, from, part_bytes);
      } else {
        Kernels().vertical(from, row_bytes, filter.row(y), filter.count[y], to, part_bytes);
      }
    }
  }
}

}  // namespace

// The operations follow Pillow's order: reassociating them would change the last bit of some weights.
ResizeFilter TriangleFilter(int in_size, int out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double support = std::max(scale, 1.0);
  const double inverse = 1.0 / support;

  ResizeFilter filter;
  filter.taps = std::min(static_cast<int>(std::ceil(support)) * 2 + 1, in_size);
  filter.first.resize(out_size);
  filter.count.resize(out_size);
  filter.weights.resize(std::size_t{1} * filter.taps * out_size);
  std::vector<double> taps(filter.taps);
  for (int out = 0; out < out_size; ++out) {
    const double center = (out + 0.5) * scale;
    const int first = std::max(static_cast<int>(std::floor(center - support + 0.5)), 0);
    const int count = std::min(static_cast<int>(std::floor(center + support + 0.5)), in_size) - first;
    double total = 0;
    for (int i = 0; i < count; ++i) {
      taps[i] = std::max(1.0 - std::abs((i + first - center + 0.5) * inverse), 0.0);
      total += taps[i];
    }
    std::int32_t* weights = filter.weights.data() + std::size_t{1} * filter.taps * out;
    for (int i = 0; i < count; ++i) {
      weights[i] = static_cast<std::int32_t>(std::floor(0.5 + taps[i] / total * (1 << kWeightBits)));
    }
    filter.first[out] = first;
    filter.count[out] = count;
  }
  return filter;
}

void ResizeToPlanar(const RgbImage& src, int dst_width, int dst_height, std::uint8_t* dst) {
  ResizeInto(src, dst_width, dst_height, {1, dst_width}, kChannels, dst);
}

RgbImage Resize(const RgbImage& src, int dst_width, int dst_height) {
  RgbImage dst{dst_width, dst_height,
               std::vector<std::uint8_t>(std::size_t{kChannels} * dst_width * dst_height)};
  ResizeInto(src, dst_width, dst_height, {kChannels, 1}, 1, dst.data.data());
  return dst;
}

std::string_view ResizeSimd() { return Kernels().name; }

}  // namespace cosmos
