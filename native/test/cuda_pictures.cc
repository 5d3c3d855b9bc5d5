#include "cuda_pictures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "image/resize.h"

namespace cosmos::test {
namespace {

constexpr std::array kColorspaces = {AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT709,     AVCOL_SPC_FCC,
                                     AVCOL_SPC_BT470BG,     AVCOL_SPC_SMPTE170M, AVCOL_SPC_SMPTE240M,
                                     AVCOL_SPC_BT2020_NCL,  AVCOL_SPC_BT2020_CL};
constexpr std::array kRanges = {AVCOL_RANGE_UNSPECIFIED, AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG};

// Waves with noise; some planes are pure noise, which covers all of the YUV range.
ff::Frame MakePicture(const PictureFormat& format, int width, int height, Random& random) {
  ff::Frame frame(av_frame_alloc());
  frame->width = width;
  frame->height = height;
  frame->format = format.pixels;
  frame->colorspace = random.Of(kColorspaces);
  frame->color_range = random.Of(kRanges);
  EXPECT_EQ(av_frame_get_buffer(frame.get(), 0), 0);
  const int largest = (1 << format.bit_depth) - 1;
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane > 0 && format.chroma_420 ? 1 : 0;
    const int noise = random(0, 3) == 0 ? largest : random(0, largest / 16);
    const double frequency_x = random(1, 100) / 200.0;
    const double frequency_y = random(1, 100) / 200.0;
    for (int y = 0; y < (height + shift) >> shift; ++y) {
      std::uint8_t* row = frame->data[plane] + std::ptrdiff_t{1} * frame->linesize[plane] * y;
      for (int x = 0; x < (width + shift) >> shift; ++x) {
        const double wave = 0.5 + 0.5 * std::sin(x * frequency_x) * std::cos(y * frequency_y);
        const int value = std::clamp(static_cast<int>(wave * largest) + random(-noise, noise), 0, largest);
        if (format.bit_depth == 8) {
          row[x] = static_cast<std::uint8_t>(value);
        } else {
          reinterpret_cast<std::uint16_t*>(row)[x] = static_cast<std::uint16_t>(value);
        }
      }
    }
  }
  return frame;
}

std::vector<std::uint8_t> OnTheCpu(const AVFrame& frame, Orientation orientation, int width, int height) {
  auto image = RgbConverter().Convert(frame);
  EXPECT_TRUE(image.ok());
  std::vector<std::uint8_t> planar(std::size_t{3} * width * height);
  ResizeToPlanar(Orient(std::move(image).value(), orientation), width, height, planar.data());
  return planar;
}

Orientation RandomOrientation(Random& random) {
  return {.transpose = random(0, 1) == 1, .flip_x = random(0, 1) == 1, .flip_y = random(0, 1) == 1};
}

}  // namespace

// A picture in device memory as NVDEC outputs it: NV12, P016 or YUV444, with 16-bit samples in the upper
// bits.
class PictureBatch::Upload {
 public:
  Upload(const FakeDevice& gpu, const PictureFormat& format, const AVFrame& frame, Random& random) {
    const int bytes = format.bit_depth > 8 ? 2 : 1;
    const int chroma_width = format.chroma_420 ? (frame.width + 1) / 2 : frame.width;
    const int chroma_height = format.chroma_420 ? (frame.height + 1) / 2 : frame.height;
    picture.width = frame.width;
    picture.height = frame.height;
    picture.bit_depth = format.bit_depth;
    picture.chroma_420 = format.chroma_420;
    picture.luma_pitch = static_cast<std::uint32_t>((frame.width + random(0, 40)) * bytes);
    picture.chroma_step = static_cast<std::uint32_t>(format.chroma_420 ? 2 * bytes : bytes);
    picture.chroma_pitch = picture.chroma_step * static_cast<std::uint32_t>(chroma_width + random(0, 40));
    picture.matrix = YuvMatrixOf(frame.colorspace, frame.color_range, frame.height, format.bit_depth);
    const std::size_t luma_bytes = std::size_t{picture.luma_pitch} * frame.height;
    const std::size_t chroma_bytes = std::size_t{picture.chroma_pitch} * chroma_height;
    std::vector<std::uint8_t> host(luma_bytes + (format.chroma_420 ? 1 : 2) * chroma_bytes);
    auto memory = cuda::DeviceBuffer::Allocate(gpu.device, host.size());
    EXPECT_TRUE(memory.ok());
    memory_ = std::move(memory).value();
    picture.luma = memory_.address();
    picture.cb = picture.luma + luma_bytes;
    picture.cr = picture.cb + (format.chroma_420 ? static_cast<std::size_t>(bytes) : chroma_bytes);

    const auto put = [&](int plane, CUdeviceptr start, std::uint32_t pitch, std::uint32_t step, int width,
                         int height) {
      for (int y = 0; y < height; ++y) {
        const std::uint8_t* row = frame.data[plane] + std::ptrdiff_t{1} * frame.linesize[plane] * y;
        for (int x = 0; x < width; ++x) {
          std::uint8_t* to = &host[start - picture.luma + std::size_t{pitch} * y + std::size_t{step} * x];
          if (bytes == 1) {
            *to = row[x];
          } else {
            const auto value = static_cast<std::uint16_t>(reinterpret_cast<const std::uint16_t*>(row)[x]
                                                          << (16 - format.bit_depth));
            std::memcpy(to, &value, sizeof(value));
          }
        }
      }
    };
    put(0, picture.luma, picture.luma_pitch, bytes, frame.width, frame.height);
    put(1, picture.cb, picture.chroma_pitch, picture.chroma_step, chroma_width, chroma_height);
    put(2, picture.cr, picture.chroma_pitch, picture.chroma_step, chroma_width, chroma_height);
    auto stream = cuda::MakeStream(gpu.device);
    EXPECT_EQ(gpu.device.api().MemcpyHtoDAsync(picture.luma, host.data(), host.size(), stream->get()), 0);
    EXPECT_EQ(gpu.device.api().StreamSynchronize(stream->get()), 0);
  }

  cuda::DevicePicture picture;

 private:
  cuda::DeviceBuffer memory_;
};

Pipeline::Pipeline(const FakeDevice& gpu, std::size_t idle_bytes)
    : preprocessor(cuda::Preprocessor::Load(gpu.device).value()),
      pool(std::make_shared<cuda::BufferPool>(gpu.device, idle_bytes)),
      stream(cuda::MakeStream(gpu.device).value()) {}

PictureBatch::PictureBatch(const FakeDevice& gpu, int width, int height)
    : gpu_(gpu), width_(width), height_(height) {}
PictureBatch::~PictureBatch() = default;

void PictureBatch::Add(const PictureFormat& format, int width, int height, Random& random) {
  const ff::Frame frame = MakePicture(format, width, height, random);
  uploads_.push_back(std::make_unique<Upload>(gpu_, format, *frame, random));
  Orientation& orientation = uploads_.back()->picture.orientation;
  orientation = RandomOrientation(random);
  const auto expected = OnTheCpu(*frame, orientation, width_, height_);
  expected_.insert(expected_.end(), expected.begin(), expected.end());
}

Result<std::shared_ptr<const void>> PictureBatch::Start(const Pipeline& pipeline, CUdeviceptr out) const {
  std::vector<cuda::DevicePicture> pictures;
  std::vector<CUdeviceptr> targets;
  for (std::size_t i = 0; i < uploads_.size(); ++i) {
    pictures.push_back(uploads_[i]->picture);
    targets.push_back(out + std::size_t{3} * width_ * height_ * i);
  }
  return pipeline.preprocessor->ToPlanar(pictures, targets, width_, height_, *pipeline.pool,
                                         pipeline.stream.get());
}

std::vector<std::uint8_t> PictureBatch::Run(const Pipeline& pipeline) const {
  auto out = cuda::DeviceBuffer::Allocate(gpu_.device, bytes()).value();
  auto in_use = Start(pipeline, out.address());
  EXPECT_TRUE(in_use.ok()) << in_use.status().message();
  std::vector<std::uint8_t> host(bytes());
  auto* const stream = pipeline.stream.get();
  EXPECT_EQ(gpu_.device.api().MemcpyDtoHAsync(host.data(), out.address(), host.size(), stream), CUDA_SUCCESS);
  EXPECT_EQ(gpu_.device.api().StreamSynchronize(stream), CUDA_SUCCESS);
  return host;
}

}  // namespace cosmos::test
