#include "media/shots/thumbnail.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

namespace cosmos {
namespace {

// No more rows of a cell are read: the means hardly change, and a large picture costs less.
constexpr int kRowsOfCell = 8;

// One component of a picture: a plane, or every `step`-th sample of a plane.
struct Component {
  const std::uint8_t* data = nullptr;
  std::ptrdiff_t pitch = 0;  // bytes
  int width = 0;             // samples
  int height = 0;
  int step = 1;   // bytes from one sample to the next
  int shift = 0;  // bits below the sample
  int depth = 8;  // bits of the sample
  bool big_endian = false;
};

std::uint32_t SumOfBytes(const std::uint8_t* data, int step, int count) {
  std::uint32_t sum = 0;
  for (int i = 0; i < count; ++i) sum += data[static_cast<std::ptrdiff_t>(i) * step];
  return sum;
}

double SumOfWords(const std::uint8_t* data, const Component& component, int count) {
  const bool swap = component.big_endian != (std::endian::native == std::endian::big);
  const std::uint32_t mask = (std::uint32_t{1} << component.depth) - 1;
  double sum = 0;
  for (int i = 0; i < count; ++i) {
    std::uint16_t word = 0;
    std::memcpy(&word, data + static_cast<std::ptrdiff_t>(i) * component.step, sizeof word);
    if (swap) word = static_cast<std::uint16_t>(word >> 8 | word << 8);
    sum += word >> component.shift & mask;
  }
  return sum;
}

// The samples [first, last) of a cell along one side; at least one.
struct Span {
  int first = 0;
  int last = 0;
};
Span SpanOf(int cell, int cells, int samples) {
  const auto at = [&](int edge) { return static_cast<int>(std::int64_t{edge} * samples / cells); };
  const int first = std::min(at(cell), samples - 1);
  return {first, std::max(at(cell + 1), first + 1)};
}

// Which lines of a row of cells are read.
struct Lines {
  int first = 0;
  int last = 0;
  int skip = 1;
  int count() const { return (last - first + skip - 1) / skip; }
};
Lines LinesOf(int row, int height) {
  const Span span = SpanOf(row, Thumbnail::kRows, height);
  return {span.first, span.last, (span.last - span.first + kRowsOfCell - 1) / kRowsOfCell};
}

// Adds whole lines first, which compilers turn into vector code, and then the columns of each cell.
void AverageBytes(const Component& component, Thumbnail::Plane& plane) {
  std::vector<std::uint16_t> sums(static_cast<std::size_t>(component.width));
  for (int row = 0; row < Thumbnail::kRows; ++row) {
    const Lines lines = LinesOf(row, component.height);
    std::ranges::fill(sums, std::uint16_t{0});
    for (int line = lines.first; line < lines.last; line += lines.skip) {
      const std::uint8_t* data = component.data + line * component.pitch;
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<std::uint16_t>(sums[i] + data[i]);
    }
    for (int column = 0; column < Thumbnail::kColumns; ++column) {
      const Span samples = SpanOf(column, Thumbnail::kColumns, component.width);
      std::uint32_t sum = 0;
      for (int i = samples.first; i < samples.last; ++i) sum += sums[static_cast<std::size_t>(i)];
      const int count = lines.count() * (samples.last - samples.first);
      plane[static_cast<std::size_t>(row) * Thumbnail::kColumns + column] =
          static_cast<float>(double{1} * sum / count);
    }
  }
}

void Average(const Component& component, Thumbnail::Plane& plane) {
  const bool is_bytes = component.depth <= 8 && component.shift == 0;
  if (is_bytes && component.step == 1 && component.depth == 8) return AverageBytes(component, plane);
  const double scale = 255.0 / ((std::uint32_t{1} << component.depth) - 1);
  for (int row = 0; row < Thumbnail::kRows; ++row) {
    const Lines lines = LinesOf(row, component.height);
    for (int column = 0; column < Thumbnail::kColumns; ++column) {
      const Span samples = SpanOf(column, Thumbnail::kColumns, component.width);
      const int width = samples.last - samples.first;
      double sum = 0;
      for (int line = lines.first; line < lines.last; line += lines.skip) {
        const std::uint8_t* data = component.data + line * component.pitch +
                                   static_cast<std::ptrdiff_t>(samples.first) * component.step;
        sum += is_bytes ? SumOfBytes(data, component.step, width) : SumOfWords(data, component, width);
      }
      plane[static_cast<std::size_t>(row) * Thumbnail::kColumns + column] =
          static_cast<float>(sum / (lines.count() * width) * scale);
    }
  }
}

void FromRgb(const Thumbnail::Plane& red, const Thumbnail::Plane& green, const Thumbnail::Plane& blue,
             Thumbnail& thumbnail) {
  for (std::size_t cell = 0; cell < Thumbnail::kCells; ++cell) {
    const float luma = 0.299F * red[cell] + 0.587F * green[cell] + 0.114F * blue[cell];
    thumbnail.luma[cell] = luma;
    thumbnail.cb[cell] = 128 + (blue[cell] - luma) * 0.564F;
    thumbnail.cr[cell] = 128 + (red[cell] - luma) * 0.713F;
  }
}

Thumbnail FromImage(const RgbImage& image) {
  std::array<Thumbnail::Plane, 3> planes;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    Average({.data = image.data.data() + i,
             .pitch = std::ptrdiff_t{3} * image.width,
             .width = image.width,
             .height = image.height,
             .step = 3},
            planes[i]);
  }
  Thumbnail thumbnail;
  FromRgb(planes[0], planes[1], planes[2], thumbnail);
  return thumbnail;
}

bool IsReadDirectly(const AVPixFmtDescriptor& format) {
  constexpr std::uint64_t kOther = AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |
                                   AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT;
  if ((format.flags & kOther) != 0) return false;
  // Some packed formats have components that share a byte or a word.
  return std::all_of(format.comp, format.comp + format.nb_components, [](const AVComponentDescriptor& comp) {
    return comp.depth == 8 ? comp.shift == 0 : comp.depth > 8 && comp.depth + comp.shift <= 16;
  });
}

Component ComponentOf(const AVFrame& frame, const AVPixFmtDescriptor& format, int number) {
  const AVComponentDescriptor& comp = format.comp[number];
  const bool is_chroma = (number == 1 || number == 2) && (format.flags & AV_PIX_FMT_FLAG_RGB) == 0;
  return {.data = frame.data[comp.plane] + comp.offset,
          .pitch = frame.linesize[comp.plane],
          .width = is_chroma ? AV_CEIL_RSHIFT(frame.width, format.log2_chroma_w) : frame.width,
          .height = is_chroma ? AV_CEIL_RSHIFT(frame.height, format.log2_chroma_h) : frame.height,
          .step = comp.step,
          .shift = comp.shift,
          .depth = comp.depth,
          .big_endian = (format.flags & AV_PIX_FMT_FLAG_BE) != 0};
}

double MeanDifference(const Thumbnail::Plane& a, const Thumbnail::Plane& b) {
  float sum = 0;
  for (std::size_t cell = 0; cell < Thumbnail::kCells; ++cell) sum += std::abs(a[cell] - b[cell]);
  return sum / Thumbnail::kCells;
}

}  // namespace

double Difference(const Thumbnail& a, const Thumbnail& b) {
  return MeanDifference(a.luma, b.luma) + MeanDifference(a.cb, b.cb) + MeanDifference(a.cr, b.cr);
}

Result<Thumbnail> ThumbnailMaker::Make(const AVFrame& frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  if (!format || !IsReadDirectly(*format)) {
    COSMOS_ASSIGN_OR_RETURN(const auto image, to_rgb_.Convert(frame));
    return FromImage(image);
  }
  Thumbnail thumbnail;
  Average(ComponentOf(frame, *format, 0), thumbnail.luma);
  if (format->nb_components < 3) {  // grey, maybe with alpha
    thumbnail.cb.fill(128);
    thumbnail.cr.fill(128);
    return thumbnail;
  }
  Average(ComponentOf(frame, *format, 1), thumbnail.cb);
  Average(ComponentOf(frame, *format, 2), thumbnail.cr);
  if ((format->flags & AV_PIX_FMT_FLAG_RGB) != 0) {
    const Thumbnail rgb = thumbnail;
    FromRgb(rgb.luma, rgb.cb, rgb.cr, thumbnail);
  }
  return thumbnail;
}

}  // namespace cosmos
