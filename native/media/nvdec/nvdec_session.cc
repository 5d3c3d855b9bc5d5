#include "media/nvdec/nvdec_session.h"

#include <algorithm>
#include <utility>

#include "ffmpeg/colour.h"

namespace cosmos {
namespace {

// Surfaces beyond what the stream needs. The driver works on this many pictures while it gets the next, and
// no surface is written again before its picture's status could be read.
constexpr int kInFlight = 4;
constexpr int kMaxSurfaces = 32;

constexpr int Even(int size) { return (size + 1) & ~1; }

std::string SizeText(int width, int height) { return std::to_string(width) + " x " + std::to_string(height); }

AVPixelFormat PixelFormatOf(cudaVideoSurfaceFormat surface) {
  switch (surface) {
    case cudaVideoSurfaceFormat_P016: return AV_PIX_FMT_P016LE;
    case cudaVideoSurfaceFormat_YUV444: return AV_PIX_FMT_YUV444P;
    case cudaVideoSurfaceFormat_YUV444_16Bit: return AV_PIX_FMT_YUV444P16LE;
    default: return AV_PIX_FMT_NV12;
  }
}

}  // namespace

// The decoder outputs the whole coded picture and Copy crops it: then the driver never scales, and videos
// that are cropped differently can share a decoder.
DecoderShape NvdecSession::ShapeOf(const CUVIDEOFORMAT& format) const {
  DecoderShape shape;
  shape.codec = format.codec;
  shape.chroma = format.chroma_format;
  shape.bit_depth = 8 + std::max(format.bit_depth_luma_minus8, format.bit_depth_chroma_minus8);
  const bool deep = shape.bit_depth > 8;
  if (shape.chroma == cudaVideoChromaFormat_444) {
    shape.surface = deep ? cudaVideoSurfaceFormat_YUV444_16Bit : cudaVideoSurfaceFormat_YUV444;
  } else {
    shape.surface = deep ? cudaVideoSurfaceFormat_P016 : cudaVideoSurfaceFormat_NV12;
  }
  shape.width = Even(static_cast<int>(format.coded_width));
  shape.height = Even(static_cast<int>(format.coded_height));
  const int minimum = std::max<int>(format.min_num_decode_surfaces, 1);
  shape.surfaces = std::max(minimum, std::min(minimum + kInFlight, kMaxSurfaces));
  shape.display_area = {0, 0, shape.width, shape.height};
  shape.target = shape.display_area;
  return shape;
}

bool NvdecSession::Fits(const CUVIDEOFORMAT& format) const {
  const auto& area = format.display_area;
  const auto& current = format_.display_area;
  const auto& colours = format.video_signal_description;
  const auto& current_colours = format_.video_signal_description;
  return begun() && !lease_.failed() && lease_.shape().Covers(ShapeOf(format)) && area.left == current.left &&
         area.top == current.top && area.right == current.right && area.bottom == current.bottom &&
         colours.matrix_coefficients == current_colours.matrix_coefficients &&
         colours.video_full_range_flag == current_colours.video_full_range_flag;
}

Status NvdecSession::Begin(const CUVIDEOFORMAT& format, const std::function<Status()>& check_continue) {
  if (Fits(format)) return {};
  const DecoderShape shape = ShapeOf(format);
  const PictureFormat pictures{.chroma = format.chroma_format,
                               .bit_depth = shape.bit_depth,
                               // 4:4:4 whose planes are red, green and blue.
                               .rgb = format.chroma_format == cudaVideoChromaFormat_444 &&
                                      format.video_signal_description.matrix_coefficients == AVCOL_SPC_RGB};
  const std::string reason = nvdec_.WhyNot(coded_.codec, pictures, shape.width, shape.height);
  if (!reason.empty()) return {StatusCode::kMedia, reason};
  const auto& area = format.display_area;
  if (area.left < 0 || area.top < 0 || area.right > shape.width || area.bottom > shape.height ||
      area.left >= area.right || area.top >= area.bottom) {
    return {StatusCode::kMedia, "the pictures are cropped to nothing"};
  }
  // Rare, and libavcodec crops the left side in its own way.
  if (area.left > 0) return {StatusCode::kMedia, "the pictures are cropped on the left"};
  const int width = area.right - area.left;
  const int height = area.bottom - area.top;
  if (IsCroppedOtherwise(width, height)) {
    return {StatusCode::kMedia, "the pictures are " + SizeText(width, height) + ", the file says " +
                                    SizeText(coded_.width, coded_.height)};
  }
  if (static_cast<std::int64_t>(shape.bytes()) > max_bytes_)
    return {StatusCode::kLimit, "NVDEC's surfaces need more memory than maxBytes"};
  if (!begun() || lease_.failed() || !lease_.shape().Covers(shape)) {
    lease_ = {};
    COSMOS_ASSIGN_OR_RETURN(lease_, nvdec_.pool().Take(shape, check_continue));
  }
  format_ = format;
  return {};
}

// Whether libavcodec's pictures have another size. For H.264 and HEVC, libavcodec follows the container when
// the sizes differ within the last macroblock only; it ignores VP9's display size.
bool NvdecSession::IsCroppedOtherwise(int width, int height) const {
  constexpr int kMacroblock = 16;
  const auto macroblocks = [](int size) { return (size + kMacroblock - 1) / kMacroblock; };
  if (coded_.width <= 0 || (width == coded_.width && height == coded_.height)) return false;
  if (coded_.codec != AV_CODEC_ID_H264 && coded_.codec != AV_CODEC_ID_HEVC) return true;
  return macroblocks(width) == macroblocks(coded_.width) && macroblocks(height) == macroblocks(coded_.height);
}

// The behaviour of a decoder after a failed call is undocumented.
Status NvdecSession::CheckUsable() const {
  if (begun() && !lease_.failed()) return {};
  return {StatusCode::kEngine, "NVDEC's decoder has failed before"};
}

Status NvdecSession::Decode(CUVIDPICPARAMS& picture) {
  COSMOS_RETURN_IF_ERROR(CheckUsable());
  Status status = Check(nvdec_.api().DecodePicture(lease_.handle(), &picture), "NVDEC refused a picture");
  if (!status.ok()) lease_.MarkFailed();
  return status;
}

Result<NvdecSession::Health> NvdecSession::HealthOf(int surface) const {
  COSMOS_RETURN_IF_ERROR(CheckUsable());
  // NVIDIA documents the status for these codecs only.
  const cudaVideoCodec codec = lease_.shape().codec;
  if (codec != cudaVideoCodec_H264 && codec != cudaVideoCodec_HEVC) return Health::kIntact;
  constexpr auto kNotSupported = static_cast<CUresult>(801);
  CUVIDGETDECODESTATUS status{};
  const CUresult result = nvdec_.api().GetDecodeStatus(lease_.handle(), surface, &status);
  if (result == kNotSupported) return Health::kIntact;
  COSMOS_RETURN_IF_ERROR(Check(result, "NVDEC cannot report the status of a picture"));
  switch (status.decodeStatus) {
    case cuvidDecodeStatus_InProgress: return Health::kNotYetKnown;
    case cuvidDecodeStatus_Error:
    case cuvidDecodeStatus_Error_Concealed: return Health::kDamaged;
    default: return Health::kIntact;
  }
}

Result<ff::Frame> NvdecSession::Copy(const CUVIDPARSERDISPINFO& shown) {
  COSMOS_RETURN_IF_ERROR(CheckUsable());
  CUVIDPROCPARAMS processing{};
  processing.progressive_frame = shown.progressive_frame;
  processing.second_field = shown.repeat_first_field + 1;
  processing.top_field_first = shown.top_field_first;
  processing.unpaired_field = shown.repeat_first_field < 0 ? 1 : 0;
  processing.output_stream = stream_;
  CUdeviceptr address = 0;
  unsigned pitch = 0;
  Status status =
      Check(nvdec_.api().MapVideoFrame(lease_.handle(), shown.picture_index, &address, &pitch, &processing),
            "NVDEC cannot map a picture");
  if (!status.ok()) {
    lease_.MarkFailed();
    return status;
  }
  const auto& area = format_.display_area;
  auto frame = MakeDeviceFrame(nvdec_.buffers(), PixelFormatOf(lease_.shape().surface),
                               area.right - area.left, area.bottom - area.top, meter_);
  status = frame.ok() ? CopyPlanes(address, pitch, *frame.value()) : frame.status();
  // Everything queued must be complete before the surface is unmapped and before the frame can be freed.
  Status waited =
      Check(nvdec_.device().api().EventRecord(event_, stream_), "the copy of a picture cannot be tracked");
  waited = waited.ok()
               ? Check(nvdec_.device().api().EventSynchronize(event_), "the copy of a picture failed")
               : Check(nvdec_.device().api().StreamSynchronize(stream_), "the copy of a picture failed");
  const Status unmapped =
      Check(nvdec_.api().UnmapVideoFrame(lease_.handle(), address), "NVDEC cannot unmap a picture");
  if (!unmapped.ok()) lease_.MarkFailed();
  for (const Status& failed : {status, waited, unmapped}) {
    if (!failed.ok()) return failed;
  }
  if (*meter_ > max_bytes_)
    return Status(StatusCode::kLimit, "the pictures of a clip need more GPU memory than maxBytes");
  SetColour(*frame.value());
  return frame;
}

Status NvdecSession::CopyPlanes(CUdeviceptr from, unsigned pitch, const AVFrame& to) const {
  const DecoderShape& shape = lease_.shape();
  const bool full_chroma = shape.chroma == cudaVideoChromaFormat_444;
  const int bytes_per_sample = shape.bit_depth > 8 ? 2 : 1;
  const int top = format_.display_area.top;
  const int planes = full_chroma ? 3 : 2;
  const CUdeviceptr plane_bytes = CUdeviceptr{pitch} * static_cast<unsigned>(shape.target.bottom);
  for (int plane = 0; plane < planes; ++plane) {
    const bool halved = plane > 0 && !full_chroma;
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = from + plane_bytes * static_cast<unsigned>(plane);
    copy.srcPitch = pitch;
    copy.srcY = static_cast<std::size_t>(halved ? top / 2 : top);
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = reinterpret_cast<CUdeviceptr>(to.data[plane]);
    copy.dstPitch = static_cast<std::size_t>(to.linesize[plane]);
    copy.WidthInBytes = static_cast<std::size_t>(halved ? Even(to.width) : to.width) * bytes_per_sample;
    copy.Height = static_cast<std::size_t>(halved ? Even(to.height) / 2 : to.height);
    COSMOS_RETURN_IF_ERROR(
        Check(nvdec_.device().api().Memcpy2DAsync(&copy, stream_), "a picture cannot be copied"));
  }
  return {};
}

// As libavcodec does. NVIDIA's parser does not tell what a stream leaves out from what it calls unspecified.
void NvdecSession::SetColour(AVFrame& frame) const {
  const auto& described = format_.video_signal_description;
  const bool is_described = described.matrix_coefficients != AVCOL_SPC_RGB &&
                            described.matrix_coefficients != AVCOL_SPC_UNSPECIFIED;
  frame.colorspace =
      is_described ? ff::MatrixFrom(described.matrix_coefficients) : ff::MatrixIn(coded_.color_space);
  frame.color_range = described.video_full_range_flag ? AVCOL_RANGE_JPEG
                      : is_described                  ? AVCOL_RANGE_MPEG
                                                      : ff::RangeIn(coded_.color_range);
  // VP8 and VP9 write theirs into every keyframe, but NVIDIA's parser does not report them.
  if (coded_.codec == AV_CODEC_ID_VP8 || coded_.codec == AV_CODEC_ID_VP9) {
    frame.colorspace = vpx_colour_.matrix;
    frame.color_range = vpx_colour_.range;
  }
}

}  // namespace cosmos
