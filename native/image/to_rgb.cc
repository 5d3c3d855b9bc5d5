#include "image/to_rgb.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "ffmpeg/colour.h"

namespace cosmos {
namespace {

// Exact arithmetic and full chroma interpolation, because the model sees these pixels.
constexpr int kScalerFlags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;

// The "JPEG" formats equal the plain ones with full range; swscale warns about them needlessly.
AVPixelFormat WithoutJpegName(AVPixelFormat format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P: return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P: return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P: return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P: return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P: return AV_PIX_FMT_YUV411P;
    default: return format;
  }
}

int MatrixOf(AVColorSpace colorspace, int lines, UntaggedMatrix untagged) {
  constexpr int kHdLines = 720;
  switch (colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
    default: return untagged == UntaggedMatrix::kBySize && lines >= kHdLines ? SWS_CS_ITU709 : SWS_CS_ITU601;
  }
}

bool IsYuv(const AVPixFmtDescriptor& format) {
  return (format.flags & AV_PIX_FMT_FLAG_RGB) == 0 && format.nb_components >= 3;
}

// Whether each byte of RGB depends on one sample only, so that a table can convert it: grey, and RGB of more
// than 8 bits. swscale treats all grey as full range and rounds 16-bit levels up to one too bright.
bool UsesLevelTable(const AVPixFmtDescriptor& format, bool full_range) {
  constexpr std::uint64_t kOthers = AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM |
                                    AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BAYER;
  if ((format.flags & kOthers) != 0 || format.comp[0].depth > 16) return false;
  const bool is_rgb = (format.flags & AV_PIX_FMT_FLAG_RGB) != 0;
  if (!is_rgb && format.nb_components > 2) return false;
  return format.comp[0].depth > 8 || (!is_rgb && !full_range);
}

// The 8-bit value of each level, rounded to the nearest.
std::vector<std::uint8_t> LevelTable(int bit_depth, bool full_range) {
  const std::int64_t count = std::int64_t{1} << bit_depth;
  const std::int64_t black = full_range ? 0 : 16 * count / 256;
  const std::int64_t span = full_range ? count - 1 : 219 * count / 256;
  std::vector<std::uint8_t> levels;
  for (std::int64_t level = 0; level < count; ++level) {
    const std::int64_t value = std::max<std::int64_t>(level - black, 0) * 255;
    levels.push_back(static_cast<std::uint8_t>(std::min<std::int64_t>((value + span / 2) / span, 255)));
  }
  return levels;
}

constexpr AVPixelFormat kFullChroma = AV_PIX_FMT_YUV444P16LE;

// Rounds the size up to whole chroma samples, each 2^shift pixels wide.
int RoundUpToChroma(int size, int shift) { return -(-size >> shift) * (1 << shift); }

// In full range, swscale takes white to be 255 shifted left, but n-bit white is 2^n - 1. Returns the factor
// between the two, in 65536ths.
int WhiteScale(int bit_depth, bool full_range) {
  constexpr std::int64_t kOne = 1 << 16;
  if (!full_range || bit_depth <= 8) return kOne;
  const std::int64_t white = (std::int64_t{1} << bit_depth) - 1;
  return static_cast<int>(((kOne * 255 << (bit_depth - 8)) + white / 2) / white);
}

// One run of swscale: the same size and matrix on both sides, different formats.
struct Step {
  int width = 0;
  int height = 0;
  AVPixelFormat from = AV_PIX_FMT_NONE;
  AVPixelFormat to = AV_PIX_FMT_NONE;
  int matrix = 0;
  bool full_range = false;
  bool to_full_range = false;
  int contrast = 1 << 16;
};

// Returns null when swscale does not support the step or memory runs out.
ff::ScalerContext MakeScaler(const Step& step) {
  ff::ScalerContext scaler(sws_alloc_context());
  if (!scaler) return nullptr;
  av_opt_set_int(scaler.get(), "srcw", step.width, 0);
  av_opt_set_int(scaler.get(), "srch", step.height, 0);
  av_opt_set_int(scaler.get(), "src_format", step.from, 0);
  av_opt_set_int(scaler.get(), "dstw", step.width, 0);
  av_opt_set_int(scaler.get(), "dsth", step.height, 0);
  av_opt_set_int(scaler.get(), "dst_format", step.to, 0);
  av_opt_set_int(scaler.get(), "sws_flags", kScalerFlags, 0);
  const AVPixFmtDescriptor* from = av_pix_fmt_desc_get(step.from);
  if (from->log2_chroma_w == 1 && from->log2_chroma_h == 1) {
    // 4:2:0 chroma lies halfway between two lines; the unit is 1/256 of a line.
    av_opt_set_int(scaler.get(), "src_v_chr_pos", 128, 0);
  }
  const int* matrix = sws_getCoefficients(step.matrix);
  sws_setColorspaceDetails(scaler.get(), matrix, step.full_range, matrix, step.to_full_range, 0,
                           step.contrast, 1 << 16);
  if (sws_init_context(scaler.get(), nullptr, nullptr) < 0) return nullptr;
  return scaler;
}

// Returns null when memory runs out.
ff::Frame MakeFrame(int width, int height, AVPixelFormat format) {
  ff::Frame frame(av_frame_alloc());
  if (!frame) return nullptr;
  frame->width = width;
  frame->height = height;
  frame->format = format;
  if (av_frame_get_buffer(frame.get(), 0) < 0) return nullptr;
  return frame;
}

// Follows swscale's ff_yuv2rgb_c_init_tables, which no public function exposes. `matrix` is one of SWS_CS_*.
YuvMatrix FixedPoint(int matrix, bool full_range, int bit_depth) {
  constexpr std::int64_t kOne = 1 << 16;
  const int* table = sws_getCoefficients(matrix);
  const std::int64_t contrast = WhiteScale(bit_depth, full_range);
  // Rounds 16 fractional bits to 13.
  const auto rounded = [](std::int64_t value) {
    return static_cast<int>((value * (1 << 13) + kOne / 2) >> 16);
  };
  const auto chroma = [&](std::int64_t value) {
    return rounded((full_range ? value * 224 / 255 : value) * contrast >> 16);
  };
  return {.y_offset = full_range ? 0 : 16 << 9,
          .y_scale = rounded((full_range ? kOne : kOne * 255 / 219) * contrast >> 16),
          .cr_to_r = chroma(table[0]),
          .cr_to_g = chroma(-table[3]),
          .cb_to_g = chroma(-table[2]),
          .cb_to_b = chroma(table[1]),
          .full_range = full_range};
}

// The first plane of `from`, its last column and line repeated where `to` is larger.
void CopyLuma(const AVFrame& from, int bytes_per_sample, AVFrame& to) {
  const std::ptrdiff_t bytes = std::ptrdiff_t{1} * from.width * bytes_per_sample;
  for (int y = 0; y < to.height; ++y) {
    const std::uint8_t* in =
        from.data[0] + std::ptrdiff_t{1} * from.linesize[0] * std::min(y, from.height - 1);
    std::uint8_t* out = to.data[0] + std::ptrdiff_t{1} * to.linesize[0] * y;
    std::copy_n(in, bytes, out);
    for (int x = from.width; x < to.width; ++x) {
      std::copy_n(in + bytes - bytes_per_sample, bytes_per_sample,
                  out + std::ptrdiff_t{1} * x * bytes_per_sample);
    }
  }
}

}  // namespace

Orientation Orientation::FromDisplayMatrix(const std::int32_t* matrix) {
  // A stored pixel (x, y) is shown at (a x + c y, b x + d y). For right angles each factor is about 1, 0 or
  // -1: players and editors write rounded sines and cosines.
  const std::int32_t a = matrix[0];
  const std::int32_t b = matrix[1];
  const std::int32_t c = matrix[3];
  const std::int32_t d = matrix[4];
  const double degrees = av_display_rotation_get(matrix);
  if (std::isnan(degrees)) return {};
  constexpr int kRightAngle = 90;
  const int whole_degrees = std::abs(static_cast<int>(std::lround(degrees)));
  if (whole_degrees % kRightAngle != 0) return {};
  const bool transpose = whole_degrees / kRightAngle % 2 != 0;
  return {.transpose = transpose, .flip_x = (transpose ? c : a) < 0, .flip_y = (transpose ? b : d) < 0};
}

int Orientation::degrees() const {
  if (transpose) return flip_x || !flip_y ? 90 : 270;
  return flip_x && flip_y ? 180 : 0;
}

RgbImage Orient(RgbImage image, Orientation orientation) {
  if (orientation.upright()) return image;
  RgbImage turned;
  turned.width = orientation.transpose ? image.height : image.width;
  turned.height = orientation.transpose ? image.width : image.height;
  turned.data.resize(image.data.size());
  // `origin` is the source of pixel (0, 0); the steps lead to the sources of its neighbours.
  const std::ptrdiff_t row = std::ptrdiff_t{3} * image.width;
  std::ptrdiff_t step_x = orientation.transpose ? row : 3;
  std::ptrdiff_t step_y = orientation.transpose ? 3 : row;
  const std::uint8_t* origin = image.data.data();
  if (orientation.flip_x) {
    origin += step_x * (turned.width - 1);
    step_x = -step_x;
  }
  if (orientation.flip_y) {
    origin += step_y * (turned.height - 1);
    step_y = -step_y;
  }
  std::uint8_t* out = turned.data.data();
  for (int y = 0; y < turned.height; ++y) {
    const std::uint8_t* in = origin + step_y * y;
    for (int x = 0; x < turned.width; ++x, in += step_x, out += 3) {
      out[0] = in[0];
      out[1] = in[1];
      out[2] = in[2];
    }
  }
  return turned;
}

YuvMatrix YuvMatrixOf(AVColorSpace colorspace, AVColorRange range, int lines, int bit_depth,
                      UntaggedMatrix untagged) {
  return FixedPoint(MatrixOf(colorspace, lines, untagged), range == AVCOL_RANGE_JPEG, bit_depth);
}

RgbConverter::Geometry RgbConverter::GeometryOf(const AVFrame& frame) const {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  const AVPixelFormat plain = WithoutJpegName(format);
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
  // Grey and RGB are formats of still pictures too, which leave their full range untagged.
  const AVColorRange range = ff::RangeIn(frame.color_range);
  const bool full_range =
      descriptor && !IsYuv(*descriptor) ? range != AVCOL_RANGE_MPEG : range == AVCOL_RANGE_JPEG;
  return {frame.width, frame.height, plain, MatrixOf(ff::MatrixIn(frame.colorspace), frame.height, untagged_),
          full_range || plain != format};
}

Status RgbConverter::Prepare(const Geometry& geometry) {
  if ((to_rgb_ || yuv_ || !level_table_.empty()) && geometry == geometry_) return {};
  to_rgb_.reset();
  to_full_chroma_.reset();
  padded_luma_.reset();
  level_table_.clear();
  full_chroma_.reset();
  yuv_.reset();
  const std::string name =
      av_get_pix_fmt_name(geometry.format) ? av_get_pix_fmt_name(geometry.format) : "unknown";
  Status unsupported =
      Status(StatusCode::kMedia, "pictures of the pixel format " + name + " and the size " +
                                     std::to_string(geometry.width) + " x " +
                                     std::to_string(geometry.height) + " cannot be converted to RGB")
          .With("pixelFormat", name);
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(geometry.format);
  if (!descriptor || sws_isSupportedInput(geometry.format) <= 0) return unsupported;
  geometry_ = geometry;
  if (UsesLevelTable(*descriptor, geometry.full_range)) {
    const bool is_rgb = (descriptor->flags & AV_PIX_FMT_FLAG_RGB) != 0;
    level_table_ = LevelTable(descriptor->comp[0].depth, is_rgb || geometry.full_range);
    return {};
  }

  if (YuvConverter::Converts(geometry.format, geometry.width, geometry.height)) {
    yuv_.emplace(FixedPoint(geometry.matrix, geometry.full_range, descriptor->comp[0].depth));
    return {};
  }

  Step step{geometry.width,
            geometry.height,
            geometry.format,
            AV_PIX_FMT_RGB24,
            geometry.matrix,
            geometry.full_range,
            true};
  if (IsYuv(*descriptor)) {
    if (!PrepareFullChroma(geometry)) return unsupported;
    step.from = kFullChroma;
    step.contrast = WhiteScale(descriptor->comp[0].depth, geometry.full_range);
  }
  to_rgb_ = MakeScaler(step);
  if (!to_rgb_) return unsupported;
  return {};
}

bool RgbConverter::PrepareFullChroma(const Geometry& geometry) {
  const AVPixFmtDescriptor& descriptor = *av_pix_fmt_desc_get(geometry.format);
  // This step moves samples and keeps their values, so swscale must not convert ranges.
  Step step{.width = RoundUpToChroma(geometry.width, descriptor.log2_chroma_w),
            .height = RoundUpToChroma(geometry.height, descriptor.log2_chroma_h),
            .from = geometry.format,
            .to = kFullChroma,
            .matrix = geometry.matrix};
  // Luma interleaved with chroma already covers whole chroma samples.
  const bool has_own_plane = descriptor.comp[0].plane != descriptor.comp[1].plane;
  if (has_own_plane && (step.width != geometry.width || step.height != geometry.height)) {
    padded_luma_ = MakeFrame(step.width, step.height,
                             descriptor.comp[0].step == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_GRAY16LE);
    if (!padded_luma_) return false;
  }
  to_full_chroma_ = MakeScaler(step);
  full_chroma_ = MakeFrame(step.width, step.height, kFullChroma);
  return to_full_chroma_ && full_chroma_;
}

RgbConverter::Planes RgbConverter::PaddedPlanes(const AVFrame& frame) {
  Planes planes;
  std::copy_n(std::begin(frame.data), planes.data.size(), planes.data.begin());
  std::copy_n(std::begin(frame.linesize), planes.pitch.size(), planes.pitch.begin());
  if (padded_luma_) {
    CopyLuma(frame, av_pix_fmt_desc_get(geometry_.format)->comp[0].step, *padded_luma_);
    planes.data[0] = padded_luma_->data[0];
    planes.pitch[0] = padded_luma_->linesize[0];
  }
  return planes;
}

void RgbConverter::ConvertByTable(const AVFrame& frame, RgbImage& image) const {
  const AVPixFmtDescriptor& format = *av_pix_fmt_desc_get(geometry_.format);
  const bool is_rgb = (format.flags & AV_PIX_FMT_FLAG_RGB) != 0;
  image.width = frame.width;
  image.height = frame.height;
  image.data.resize(std::size_t{3} * image.width * image.height);
  std::array<const std::uint8_t*, 4> planes{};
  std::copy_n(std::begin(frame.data), planes.size(), planes.begin());
  std::vector<std::uint16_t> line(image.width);
  for (int y = 0; y < image.height; ++y) {
    for (int channel = 0; channel < 3; ++channel) {
      if (channel == 0 || is_rgb) {
        av_read_image_line(line.data(), planes.data(), frame.linesize, &format, 0, y, channel, image.width,
                           0);
      }
      std::uint8_t* out = &image.data[std::size_t{3} * image.width * y + channel];
      for (const std::uint16_t level : line) {
        *out = level_table_[level];
        out += 3;
      }
    }
  }
}

Result<RgbImage> RgbConverter::Convert(const AVFrame& frame) {
  RgbImage image;
  COSMOS_RETURN_IF_ERROR(Convert(frame, image));
  return image;
}

Status RgbConverter::Convert(const AVFrame& frame, RgbImage& image) {
  COSMOS_RETURN_IF_ERROR(Prepare(GeometryOf(frame)));
  if (!level_table_.empty()) {
    ConvertByTable(frame, image);
    return {};
  }
  if (yuv_) {
    yuv_->Convert(frame, image);
    return {};
  }
  Status failed(StatusCode::kMedia, "a picture could not be converted to RGB");
  const AVFrame* source = &frame;
  if (to_full_chroma_) {
    const Planes planes = PaddedPlanes(frame);
    if (sws_scale(to_full_chroma_.get(), planes.data.data(), planes.pitch.data(), 0, full_chroma_->height,
                  full_chroma_->data, full_chroma_->linesize) != full_chroma_->height) {
      return failed;
    }
    source = full_chroma_.get();
  }
  image.width = frame.width;
  image.height = frame.height;
  // swscale's SIMD writes whole vectors, which may run past the end of each line, the last included.
  constexpr int kSlack = 64;
  const std::size_t bytes = std::size_t{3} * image.width * image.height;
  image.data.resize(bytes + kSlack);
  const std::array<std::uint8_t*, 4> planes = {image.data.data()};
  const std::array<int, 4> strides = {3 * image.width};
  if (sws_scale(to_rgb_.get(), source->data, source->linesize, 0, frame.height, planes.data(),
                strides.data()) != frame.height) {
    return failed;
  }
  image.data.resize(bytes);
  return {};
}

}  // namespace cosmos
