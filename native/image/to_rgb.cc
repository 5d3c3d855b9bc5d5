#include "image/to_rgb.h"

#include <cstddef>
#include <string>
#include <utility>

namespace cosmos {
namespace {

// Exact arithmetic and full chroma interpolation: these pixels are what a model sees.
constexpr int kScalerFlags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;

// "JPEG" formats are the plain ones with full range; swscale warns about them in vain.
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

int MatrixOf(const AVFrame& frame, UntaggedMatrix untagged) {
  constexpr int kHdLines = 720;
  switch (frame.colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
    default:
      return untagged == UntaggedMatrix::kBySize && frame.height >= kHdLines ? SWS_CS_ITU709 : SWS_CS_ITU601;
  }
}

}  // namespace

Orientation Orientation::FromDisplayMatrix(const std::int32_t* matrix) {
  // A stored pixel (x, y) is shown at (a x + c y, b x + d y), each of 1, 0 or -1 for right angles.
  const std::int32_t a = matrix[0];
  const std::int32_t b = matrix[1];
  const std::int32_t c = matrix[3];
  const std::int32_t d = matrix[4];
  if (b == 0 && c == 0 && a != 0 && d != 0) return {.transpose = false, .flip_x = a < 0, .flip_y = d < 0};
  if (a == 0 && d == 0 && b != 0 && c != 0) return {.transpose = true, .flip_x = c < 0, .flip_y = b < 0};
  return {};
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
  // Where the source pixel of (0, 0) is, and how far apart those of its neighbours are.
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

RgbConverter::Geometry RgbConverter::GeometryOf(const AVFrame& frame) const {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  const AVPixelFormat plain = WithoutJpegName(format);
  return {frame.width, frame.height, plain, MatrixOf(frame, untagged_),
          frame.color_range == AVCOL_RANGE_JPEG || plain != format};
}

Status RgbConverter::Prepare(const Geometry& geometry) {
  if (scaler_ && geometry == geometry_) return {};
  const std::string name =
      av_get_pix_fmt_name(geometry.format) ? av_get_pix_fmt_name(geometry.format) : "unknown";
  const Status unsupported =
      Status(StatusCode::kMedia, "pictures of the pixel format " + name + " and the size " +
                                     std::to_string(geometry.width) + " x " +
                                     std::to_string(geometry.height) + " cannot be converted to RGB")
          .With("pixelFormat", name);
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(geometry.format);
  if (!descriptor || sws_isSupportedInput(geometry.format) <= 0) return unsupported;

  scaler_.reset(sws_alloc_context());
  if (!scaler_) return {StatusCode::kOutOfMemory, "no memory for a converter"};
  av_opt_set_int(scaler_.get(), "srcw", geometry.width, 0);
  av_opt_set_int(scaler_.get(), "srch", geometry.height, 0);
  av_opt_set_int(scaler_.get(), "src_format", geometry.format, 0);
  av_opt_set_int(scaler_.get(), "dstw", geometry.width, 0);
  av_opt_set_int(scaler_.get(), "dsth", geometry.height, 0);
  av_opt_set_int(scaler_.get(), "dst_format", AV_PIX_FMT_RGB24, 0);
  av_opt_set_int(scaler_.get(), "sws_flags", kScalerFlags, 0);
  if (descriptor->log2_chroma_w == 1 && descriptor->log2_chroma_h == 1) {
    // 4:2:0 chroma lies between two lines, in 1/256 of a line.
    av_opt_set_int(scaler_.get(), "src_v_chr_pos", 128, 0);
  }
  const int* in = sws_getCoefficients(geometry.matrix);
  sws_setColorspaceDetails(scaler_.get(), in, geometry.full_range, in, 1, 0, 1 << 16, 1 << 16);
  if (sws_init_context(scaler_.get(), nullptr, nullptr) < 0) {
    scaler_.reset();
    return unsupported;
  }
  geometry_ = geometry;
  return {};
}

Result<RgbImage> RgbConverter::Convert(const AVFrame& frame) {
  if (Status status = Prepare(GeometryOf(frame)); !status.ok()) return status;
  RgbImage image{frame.width, frame.height, {}};
  // swscale's SIMD writes whole vectors: past the end of a line, and of the last one too.
  constexpr int kSlack = 64;
  const std::size_t bytes = std::size_t{3} * image.width * image.height;
  image.data.resize(bytes + kSlack);
  std::uint8_t* planes[4] = {image.data.data()};
  const int strides[4] = {3 * image.width};
  if (sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, planes, strides) !=
      frame.height) {
    return Status(StatusCode::kMedia, "a picture could not be converted to RGB");
  }
  image.data.resize(bytes);
  return image;
}

}  // namespace cosmos
