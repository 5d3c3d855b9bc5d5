#include "media/nvdec/device_frame.h"

#include <memory>
#include <utility>

#include "ffmpeg/colour.h"

namespace cosmos {
namespace {

class PooledFrame final : public DeviceFrameOwner {
 public:
  PooledFrame(AVPixelFormat layout, std::shared_ptr<cuda::DeviceBuffer> buffer, DeviceFrameMeter meter)
      : DeviceFrameOwner(layout), buffer_(std::move(buffer)), meter_(std::move(meter)) {
    *meter_ += static_cast<std::int64_t>(buffer_->bytes());
  }
  ~PooledFrame() override { *meter_ -= static_cast<std::int64_t>(buffer_->bytes()); }

 private:
  const std::shared_ptr<cuda::DeviceBuffer> buffer_;
  const DeviceFrameMeter meter_;
};

int AlignPitch(int bytes) {
  constexpr int kAlignment = 256;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): FFmpeg's frames carry device addresses as pointers
std::uint8_t* AsPointer(CUdeviceptr address) { return reinterpret_cast<std::uint8_t*>(address); }
CUdeviceptr AsAddress(const std::uint8_t* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

void Release(void* opaque, std::uint8_t* /*data*/) {
  const std::unique_ptr<DeviceFrameOwner> owner(static_cast<DeviceFrameOwner*>(opaque));
}

}  // namespace

Result<ff::Frame> MakeDeviceFrame(cuda::BufferPool& buffers, AVPixelFormat layout, int width, int height,
                                  const DeviceFrameMeter& meter) {
  const AVPixFmtDescriptor& descriptor = *av_pix_fmt_desc_get(layout);
  const int bytes_per_sample = descriptor.comp[0].depth > 8 ? 2 : 1;
  const bool full_chroma = descriptor.log2_chroma_w == 0;
  const int chroma_columns = full_chroma ? width : (width + 1) / 2 * 2;  // interleaved pairs
  const int chroma_rows = full_chroma ? height : (height + 1) / 2;
  const int pitch = AlignPitch(chroma_columns * bytes_per_sample);
  const std::size_t luma_bytes = std::size_t{1} * pitch * height;
  const std::size_t chroma_bytes = std::size_t{1} * pitch * chroma_rows;
  COSMOS_ASSIGN_OR_RETURN(auto buffer, buffers.Take(luma_bytes + chroma_bytes * (full_chroma ? 2 : 1)));

  const CUdeviceptr address = buffer->address();
  const std::size_t bytes = buffer->bytes();
  COSMOS_ASSIGN_OR_RETURN(
      auto frame, WrapDeviceFrame(std::make_unique<PooledFrame>(layout, std::move(buffer), meter), address,
                                  bytes, width, height));
  frame->data[1] = AsPointer(address + luma_bytes);
  frame->linesize[0] = pitch;
  frame->linesize[1] = pitch;
  if (full_chroma) {
    frame->data[2] = AsPointer(address + luma_bytes + chroma_bytes);
    frame->linesize[2] = pitch;
  }
  return frame;
}

Result<ff::Frame> WrapDeviceFrame(std::unique_ptr<DeviceFrameOwner> owner, CUdeviceptr address,
                                  std::size_t bytes, int width, int height) {
  ff::Frame frame(av_frame_alloc());
  if (frame) frame->buf[0] = av_buffer_create(AsPointer(address), bytes, Release, owner.get(), 0);
  if (!frame || !frame->buf[0]) return Status(StatusCode::kOutOfMemory, "no memory for a picture");
  (void)owner.release();
  frame->format = AV_PIX_FMT_CUDA;
  frame->width = width;
  frame->height = height;
  frame->data[0] = AsPointer(address);
  return frame;
}

AVPixelFormat LayoutOf(const AVFrame& frame) {
  return static_cast<const DeviceFrameOwner*>(av_buffer_get_opaque(frame.buf[0]))->layout();
}

CUdeviceptr AddressOf(const AVFrame& frame) { return AsAddress(frame.data[0]); }

cuda::DevicePicture DevicePictureOf(const AVFrame& frame, Orientation orientation) {
  const AVPixFmtDescriptor& descriptor = *av_pix_fmt_desc_get(LayoutOf(frame));
  cuda::DevicePicture picture;
  picture.width = frame.width;
  picture.height = frame.height;
  picture.bit_depth = descriptor.comp[0].depth;
  picture.chroma_420 = descriptor.log2_chroma_w == 1;
  const unsigned bytes_per_sample = picture.bit_depth > 8 ? 2 : 1;
  picture.luma = AsAddress(frame.data[0]);
  picture.cb = AsAddress(frame.data[1]);
  picture.cr = picture.chroma_420 ? picture.cb + bytes_per_sample : AsAddress(frame.data[2]);
  picture.luma_pitch = static_cast<std::uint32_t>(frame.linesize[0]);
  picture.chroma_pitch = static_cast<std::uint32_t>(frame.linesize[1]);
  picture.chroma_step = picture.chroma_420 ? 2 * bytes_per_sample : bytes_per_sample;
  picture.matrix = YuvMatrixOf(ff::MatrixIn(frame.colorspace), ff::RangeIn(frame.color_range), frame.height,
                               picture.bit_depth);
  picture.orientation = orientation;
  return picture;
}

}  // namespace cosmos
