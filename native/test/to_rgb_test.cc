// Compares the conversion of every pixel layout with the arithmetic of ITU-R BT.601, 709, 2020 and H.273 in
// doubles. FFmpeg's own conversion would share our code and its mistakes.
#include "image/to_rgb.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "cuda_pictures.h"
#include "ffmpeg/ffmpeg.h"
#include "image/cpu.h"
#include "image/yuv_kernels.h"

namespace cosmos {
namespace {

using test::Random;

const AVPixFmtDescriptor& DescriptorOf(const AVFrame& frame) {
  return *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
}

// One component of a picture.
struct Samples {
  int width = 0;
  int height = 0;
  double largest = 0;  // maximum for its bit depth
  std::vector<std::uint16_t> values;

  // Interpolates between the samples, which repeat beyond the edges.
  double At(double x, double y) const {
    const auto value = [&](int column, int row) {
      return values[(std::size_t{1} * std::clamp(row, 0, height - 1) * width) +
                    std::clamp(column, 0, width - 1)];
    };
    const int column = static_cast<int>(std::floor(x));
    const int row = static_cast<int>(std::floor(y));
    const double right = x - column;
    const double down = y - row;
    return (value(column, row) * (1 - right) + value(column + 1, row) * right) * (1 - down) +
           (value(column, row + 1) * (1 - right) + value(column + 1, row + 1) * right) * down;
  }
};

int ShiftX(const AVPixFmtDescriptor& format, int component) {
  return component == 1 || component == 2 ? format.log2_chroma_w : 0;
}
int ShiftY(const AVPixFmtDescriptor& format, int component) {
  return component == 1 || component == 2 ? format.log2_chroma_h : 0;
}

Samples Read(const AVFrame& frame, int component) {
  const AVPixFmtDescriptor& format = DescriptorOf(frame);
  const bool rgb = (format.flags & AV_PIX_FMT_FLAG_RGB) != 0;
  const int across = rgb ? 0 : ShiftX(format, component);
  const int down = rgb ? 0 : ShiftY(format, component);
  Samples samples;
  samples.width = AV_CEIL_RSHIFT(frame.width, across);
  samples.height = AV_CEIL_RSHIFT(frame.height, down);
  samples.largest = (1 << format.comp[component].depth) - 1;
  samples.values.resize(std::size_t{1} * samples.width * samples.height);
  for (int y = 0; y < samples.height; ++y) {
    std::array<const std::uint8_t*, 4> data{};
    std::copy_n(std::begin(frame.data), 4, data.begin());
    av_read_image_line(&samples.values[std::size_t{1} * y * samples.width], data.data(), frame.linesize,
                       &format, 0, y, component, samples.width, 0);
  }
  return samples;
}

// Waves that differ per component, with occasional noise. Limited range stays below its white and strongest
// colours: where both are exceeded, swscale's sums overflow, and ours must do the same.
void Fill(AVFrame& frame, bool full, Random& random) {
  const AVPixFmtDescriptor& format = DescriptorOf(frame);
  const bool rgb = (format.flags & AV_PIX_FMT_FLAG_RGB) != 0;
  for (int component = 0; component < format.nb_components; ++component) {
    const int across = rgb ? 0 : ShiftX(format, component);
    const int down = rgb ? 0 : ShiftY(format, component);
    const int width = AV_CEIL_RSHIFT(frame.width, across);
    const int unit = (1 << format.comp[component].depth) / 256;
    const int smallest = full ? 0 : 16 * unit;
    const int largest = full ? (1 << format.comp[component].depth) - 1 : (component == 0 ? 235 : 240) * unit;
    const bool noise = random(0, 2) == 0;
    const double frequency = random(1, 60) / 100.0;
    const double slope = random(1, 60) / 100.0;
    std::vector<std::uint16_t> line(width);
    for (int y = 0; y < AV_CEIL_RSHIFT(frame.height, down); ++y) {
      for (int x = 0; x < width; ++x) {
        const double wave = 0.5 + 0.5 * std::sin(x * frequency) * std::cos(y * slope);
        line[x] = static_cast<std::uint16_t>(noise ? random(smallest, largest)
                                                   : smallest + std::lround(wave * (largest - smallest)));
      }
      av_write_image_line(line.data(), frame.data, frame.linesize, &format, 0, y, component, width);
    }
  }
}

ff::Frame MakeBlank(AVPixelFormat format, int width, int height, Random& random) {
  ff::Frame frame(av_frame_alloc());
  frame->width = width;
  frame->height = height;
  frame->format = format;
  EXPECT_EQ(av_frame_get_buffer(frame.get(), 0), 0);
  // The padding must not affect the result.
  for (const AVBufferRef* buffer : frame->buf)
    if (buffer) std::memset(buffer->data, random(0, 255), buffer->size);
  const AVPixFmtDescriptor& descriptor = DescriptorOf(*frame);
  for (int plane = 0; plane < av_pix_fmt_count_planes(format); ++plane) {
    const bool chroma = (descriptor.flags & AV_PIX_FMT_FLAG_RGB) == 0 && (plane == 1 || plane == 2);
    const int lines = AV_CEIL_RSHIFT(height, chroma ? descriptor.log2_chroma_h : 0);
    for (int y = 0; y < lines; ++y) {
      std::memset(frame->data[plane] + std::ptrdiff_t{1} * frame->linesize[plane] * y, 0,
                  av_image_get_linesize(format, width, plane));
    }
  }
  return frame;
}

ff::Frame MakePicture(AVPixelFormat format, int width, int height, bool full, Random& random) {
  ff::Frame frame = MakeBlank(format, width, height, random);
  Fill(*frame, full, random);
  return frame;
}

struct Matrix {
  AVColorSpace tag;
  double kr;
  double kb;
};
constexpr std::array kMatrices = {
    Matrix{AVCOL_SPC_BT470BG, 0.299, 0.114},     Matrix{AVCOL_SPC_SMPTE170M, 0.299, 0.114},
    Matrix{AVCOL_SPC_UNSPECIFIED, 0.299, 0.114},  // below 720 lines
    Matrix{AVCOL_SPC_BT709, 0.2126, 0.0722},     Matrix{AVCOL_SPC_SMPTE240M, 0.212, 0.087},
    Matrix{AVCOL_SPC_BT2020_NCL, 0.2627, 0.0593}};

// H.273: maps levels of n bits to 0..1 and -0.5..0.5.
double Luma(double level, double largest, bool full) {
  const double unit = (largest + 1) / 256;
  return full ? level / largest : (level / unit - 16) / 219;
}
double Chroma(double level, double largest, bool full) {
  const double unit = (largest + 1) / 256;
  return full ? (level - (largest + 1) / 2) / largest : (level / unit - 128) / 224;
}

std::vector<double> Expected(const AVFrame& frame, const Matrix& matrix, bool full) {
  const AVPixFmtDescriptor& format = DescriptorOf(frame);
  const bool grey = format.nb_components < 3;
  const Samples luma = Read(frame, 0);
  const Samples cb = grey ? Samples() : Read(frame, 1);
  const Samples cr = grey ? Samples() : Read(frame, 2);
  std::vector<double> rgb;
  for (int y = 0; y < frame.height; ++y) {
    for (int x = 0; x < frame.width; ++x) {
      // A chroma sample lies in the middle of the pixels that it covers.
      const double column = (x + 0.5) / (1 << format.log2_chroma_w) - 0.5;
      const double row = (y + 0.5) / (1 << format.log2_chroma_h) - 0.5;
      const double light = Luma(luma.At(x, y), luma.largest, full);
      const double blue = grey ? 0 : Chroma(cb.At(column, row), cb.largest, full);
      const double red = grey ? 0 : Chroma(cr.At(column, row), cr.largest, full);
      const double r = light + 2 * (1 - matrix.kr) * red;
      const double b = light + 2 * (1 - matrix.kb) * blue;
      const double g = (light - matrix.kr * r - matrix.kb * b) / (1 - matrix.kr - matrix.kb);
      for (const double value : {r, g, b}) rgb.push_back(std::clamp(value * 255, 0.0, 255.0));
    }
  }
  return rgb;
}

std::vector<double> ExpectedRgb(const AVFrame& frame) {
  const std::array components = {Read(frame, 0), Read(frame, 1), Read(frame, 2)};
  std::vector<double> rgb;
  for (int y = 0; y < frame.height; ++y) {
    for (int x = 0; x < frame.width; ++x) {
      for (const Samples& samples : components) rgb.push_back(samples.At(x, y) * 255 / samples.largest);
    }
  }
  return rgb;
}

struct Error {
  double worst = 0;
  double mean = 0;  // signed: reveals a constant bias
};

Error ErrorOf(const RgbImage& image, const std::vector<double>& expected) {
  Error error;
  EXPECT_EQ(image.data.size(), expected.size());
  if (image.data.size() != expected.size()) return error;
  std::int64_t unclipped = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = image.data[i] - expected[i];
    error.worst = std::max(error.worst, std::abs(difference));
    // Clipping would hide a bias at the ends.
    if (expected[i] < 1 || expected[i] > 254) continue;
    error.mean += difference;
    ++unclipped;
  }
  if (unclipped > 0) error.mean /= static_cast<double>(unclipped);
  return error;
}

constexpr std::array kYuvFormats = {
    AV_PIX_FMT_YUV420P,     AV_PIX_FMT_YUVJ420P,    AV_PIX_FMT_NV12,        AV_PIX_FMT_NV21,
    AV_PIX_FMT_YUV420P10LE, AV_PIX_FMT_YUV420P12LE, AV_PIX_FMT_P010LE,      AV_PIX_FMT_YUV422P,
    AV_PIX_FMT_YUVJ422P,    AV_PIX_FMT_YUV422P10LE, AV_PIX_FMT_YUV422P12LE, AV_PIX_FMT_YUYV422,
    AV_PIX_FMT_UYVY422,     AV_PIX_FMT_YUV444P,     AV_PIX_FMT_YUVJ444P,    AV_PIX_FMT_YUV444P10LE,
    AV_PIX_FMT_YUV444P12LE, AV_PIX_FMT_YUV444P16LE, AV_PIX_FMT_YUV440P,     AV_PIX_FMT_YUVJ440P,
    AV_PIX_FMT_YUV440P10LE, AV_PIX_FMT_YUV411P,     AV_PIX_FMT_YUV410P,     AV_PIX_FMT_YUVA420P,
    AV_PIX_FMT_YUVA422P,    AV_PIX_FMT_YUVA444P,    AV_PIX_FMT_YUVA444P10LE};

// Random odd and even sizes of at least a few chroma samples.
TEST(ToRgb, MatchesTheArithmeticOfTheStandards) {
  Random random(20);
  for (const AVPixelFormat format : kYuvFormats) {
    Error most;
    for (int i = 0; i < 40; ++i) {
      const int width = random(17, 70);
      const int height = random(17, 70);
      const Matrix& matrix = random.Of(kMatrices);
      const bool named_full = std::string(av_get_pix_fmt_name(format)).starts_with("yuvj");
      const bool full = named_full || random(0, 1) == 1;
      const ff::Frame frame = MakePicture(format, width, height, full, random);
      frame->colorspace = matrix.tag;
      frame->color_range = full && !named_full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_UNSPECIFIED;
      const auto image = RgbConverter().Convert(*frame);
      ASSERT_TRUE(image.ok()) << av_get_pix_fmt_name(format);
      ASSERT_EQ(image->width, width);
      const Error error = ErrorOf(image.value(), Expected(*frame, matrix, full));
      EXPECT_LE(error.worst, 0.53) << av_get_pix_fmt_name(format) << " " << width << " x " << height
                                   << (full ? " full range" : "");
      EXPECT_LE(std::abs(error.mean), 0.06)
          << av_get_pix_fmt_name(format) << " " << width << " x " << height << (full ? " full range" : "");
      most.worst = std::max(most.worst, error.worst);
      if (std::abs(error.mean) > std::abs(most.mean)) most.mean = error.mean;
    }
    std::cout << "colour, " << av_get_pix_fmt_name(format) << ": at most " << most.worst << " off, mean "
              << most.mean << "\n";
  }
}

TEST(ToRgb, HonoursTheRangeOfGrey) {
  Random random(21);
  for (const AVPixelFormat format :
       {AV_PIX_FMT_GRAY8, AV_PIX_FMT_GRAY10LE, AV_PIX_FMT_GRAY12LE, AV_PIX_FMT_GRAY16LE}) {
    Error most;
    for (const AVColorRange range : {AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG, AVCOL_RANGE_UNSPECIFIED}) {
      for (int i = 0; i < 10; ++i) {
        const bool full = range != AVCOL_RANGE_MPEG;
        const ff::Frame frame = MakePicture(format, random(1, 40), random(1, 40), full, random);
        frame->color_range = range;
        const auto image = RgbConverter().Convert(*frame);
        ASSERT_TRUE(image.ok()) << av_get_pix_fmt_name(format);
        const Error error = ErrorOf(image.value(), Expected(*frame, kMatrices[0], full));
        EXPECT_LE(error.worst, 0.501) << av_get_pix_fmt_name(format) << " range " << range;
        most.worst = std::max(most.worst, error.worst);
        if (std::abs(error.mean) > std::abs(most.mean)) most.mean = error.mean;
      }
    }
    std::cout << "colour, " << av_get_pix_fmt_name(format) << ": at most " << most.worst << " off, mean "
              << most.mean << "\n";
  }
}

TEST(ToRgb, LeavesRgbUnchanged) {
  Random random(22);
  for (const AVPixelFormat format : {AV_PIX_FMT_RGB24, AV_PIX_FMT_BGR24, AV_PIX_FMT_RGBA, AV_PIX_FMT_BGRA,
                                     AV_PIX_FMT_GBRP, AV_PIX_FMT_GBRAP, AV_PIX_FMT_GBRP10LE,
                                     AV_PIX_FMT_GBRP12LE, AV_PIX_FMT_RGB48LE, AV_PIX_FMT_RGBA64LE}) {
    Error most;
    for (int i = 0; i < 10; ++i) {
      const ff::Frame frame = MakePicture(format, random(1, 40), random(1, 40), true, random);
      frame->colorspace = AVCOL_SPC_RGB;
      const auto image = RgbConverter().Convert(*frame);
      ASSERT_TRUE(image.ok()) << av_get_pix_fmt_name(format);
      const Error error = ErrorOf(image.value(), ExpectedRgb(*frame));
      EXPECT_LE(error.worst, 0.501) << av_get_pix_fmt_name(format);
      most.worst = std::max(most.worst, error.worst);
      if (std::abs(error.mean) > std::abs(most.mean)) most.mean = error.mean;
    }
    std::cout << "colour, " << av_get_pix_fmt_name(format) << ": at most " << most.worst << " off, mean "
              << most.mean << "\n";
  }
}

// Any samples, also those that no video has: chroma in planes goes through our own code, interleaved chroma
// through swscale.
TEST(ToRgb, PlanarPicturesAreConvertedToTheBitsOfSwscale) {
  Random random(24);
  for (const auto& [planar, interleaved] : {std::pair{AV_PIX_FMT_YUV420P, AV_PIX_FMT_NV12},
                                            std::pair{AV_PIX_FMT_YUV420P10LE, AV_PIX_FMT_P010LE}}) {
    RgbConverter converter;
    for (int i = 0; i < 60; ++i) {
      const int width = random(1, 150);
      const int height = random(1, 40);
      const ff::Frame picture = MakeBlank(planar, width, height, random);
      const ff::Frame same = MakeBlank(interleaved, width, height, random);
      const int largest = (1 << DescriptorOf(*picture).comp[0].depth) - 1;
      const bool extreme = random(0, 3) == 0;
      for (int component = 0; component < 3; ++component) {
        const Samples size = Read(*picture, component);
        std::vector<std::uint16_t> line(size.width);
        for (int y = 0; y < size.height; ++y) {
          for (std::uint16_t& sample : line)
            sample = static_cast<std::uint16_t>(extreme ? largest * random(0, 1) : random(0, largest));
          for (const AVFrame* frame : {picture.get(), same.get()}) {
            av_write_image_line(line.data(), const_cast<AVFrame*>(frame)->data, frame->linesize,
                                &DescriptorOf(*frame), 0, y, component, size.width);
          }
        }
      }
      picture->colorspace = same->colorspace = random.Of(kMatrices).tag;
      picture->color_range = same->color_range = random(0, 1) == 1 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
      const auto image = converter.Convert(*picture);
      const auto expected = RgbConverter().Convert(*same);
      ASSERT_TRUE(image.ok() && expected.ok());
      ASSERT_EQ(image->data, expected->data)
          << av_get_pix_fmt_name(planar) << " " << width << " x " << height;
    }
  }
}

TEST(ToRgb, EveryInstructionSetGivesTheSameBits) {
  std::vector<const YuvKernels*> others;
#if defined(__x86_64__)
  if (HasAvx2()) others.push_back(&Avx2YuvKernels());
#endif
  Random random(25);
  for (int width = 7; width < 140; ++width) {
    const int bytes = 2 * width;
    std::vector<std::uint8_t> samples(std::size_t{5} * bytes);
    const int depth = width % 2 == 0 ? 8 : 10;
    for (std::size_t i = 0; i < samples.size(); ++i)
      samples[i] = static_cast<std::uint8_t>(depth > 8 && i % 2 == 1 ? random(0, 3) : random(0, 255));
    const auto at = [&](int line) { return samples.data() + std::ptrdiff_t{1} * line * bytes; };
    const YuvLine line{at(0), at(1), at(2), at(3), at(4), width, depth};
    const YuvMatrix matrix = YuvMatrixOf(AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, 1080, depth);
    std::vector<std::uint16_t> scratch(YuvScratch(width));
    std::vector<std::uint8_t> baseline(std::size_t{3} * width + 1, 7);
    BaselineYuvKernels().to_rgb(line, matrix, scratch.data(), baseline.data());
    EXPECT_EQ(baseline.back(), 7);  // nothing is written past the line
    for (const YuvKernels* kernels : others) {
      std::vector<std::uint8_t> rgb(baseline.size(), 7);
      kernels->to_rgb(line, matrix, scratch.data(), rgb.data());
      ASSERT_EQ(rgb, baseline) << width;
    }
  }
}

// The last pixel of an odd size has its own chroma sample; stretched chroma would take half of it from the
// neighbour.
TEST(ToRgb, TheChromaOfAnOddSizeIsNotStretched) {
  for (const AVPixelFormat format : {AV_PIX_FMT_YUV420P, AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P10LE}) {
    Random random(23);
    const ff::Frame odd = MakePicture(format, 101, 51, false, random);
    const auto image = RgbConverter().Convert(*odd);
    ASSERT_TRUE(image.ok());
    // The same samples with one more column and line of luma: the common part must be equal.
    const ff::Frame even = MakeBlank(format, 102, 52, random);
    for (int component = 0; component < 3; ++component) {
      const Samples samples = Read(*odd, component);
      std::vector<std::uint16_t> line(samples.width);
      for (int y = 0; y < samples.height; ++y) {
        std::copy_n(&samples.values[std::size_t{1} * y * samples.width], samples.width, line.begin());
        av_write_image_line(line.data(), even->data, even->linesize, &DescriptorOf(*even), 0, y, component,
                            samples.width);
      }
    }
    const auto whole = RgbConverter().Convert(*even);
    ASSERT_TRUE(whole.ok());
    for (int y = 0; y < 51; ++y) {
      ASSERT_TRUE(std::equal(&image->data[std::size_t{3} * 101 * y],
                             &image->data[std::size_t{3} * 101 * y] + 303,
                             &whole->data[std::size_t{3} * 102 * y]))
          << av_get_pix_fmt_name(format) << " line " << y;
    }
  }
}

}  // namespace
}  // namespace cosmos
