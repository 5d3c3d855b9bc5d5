// The kernels, run on the host by the double of libcuda, against the CPU path.
#include "cuda/preprocess.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>

#include "cuda_support.h"
#include "image/resize.h"
#include "media/ffmpeg.h"

namespace cosmos {
namespace {

using cuda::DevicePicture;
using test::FakeDevice;
using test::ScopedFaults;

constexpr std::size_t kIdleBytes = std::size_t{1} << 20;

struct Format {
  AVPixelFormat pixels;
  int bit_depth;
  bool chroma_420;
};
constexpr std::array kFormats = {
    Format{AV_PIX_FMT_YUV420P, 8, true}, Format{AV_PIX_FMT_YUV420P10LE, 10, true},
    Format{AV_PIX_FMT_YUV420P12LE, 12, true}, Format{AV_PIX_FMT_YUV444P, 8, false},
    Format{AV_PIX_FMT_YUV444P10LE, 10, false}};
constexpr std::array kColorspaces = {AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT709,     AVCOL_SPC_FCC,
                                     AVCOL_SPC_BT470BG,     AVCOL_SPC_SMPTE170M, AVCOL_SPC_SMPTE240M,
                                     AVCOL_SPC_BT2020_NCL,  AVCOL_SPC_BT2020_CL};
constexpr std::array kRanges = {AVCOL_RANGE_UNSPECIFIED, AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG};

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  int operator()(int low, int high) { return std::uniform_int_distribution(low, high)(engine_); }
  template <typename T, std::size_t n>
  const T& Of(const std::array<T, n>& values) {
    return values[(*this)(0, static_cast<int>(n) - 1)];
  }

 private:
  std::mt19937 engine_;
};

// Waves with noise on them; some planes are all noise, which also reaches every corner of YUV.
ff::Frame MakePicture(const Format& format, int width, int height, Random& random) {
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

// What NVDEC would have in device memory: NV12, P016 or YUV444, its samples of 16 bits shifted up.
class Upload {
 public:
  Upload(const FakeDevice& gpu, const Format& format, const AVFrame& frame, Random& random) {
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
    picture.matrix = YuvMatrixOf(frame.colorspace, frame.color_range, frame.height);
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

  DevicePicture picture;

 private:
  cuda::DeviceBuffer memory_;
};

std::vector<std::uint8_t> Download(const FakeDevice& gpu, const cuda::DeviceBuffer& memory) {
  std::vector<std::uint8_t> host(memory.bytes());
  auto stream = cuda::MakeStream(gpu.device);
  EXPECT_EQ(gpu.device.api().MemcpyDtoHAsync(host.data(), memory.address(), host.size(), stream->get()), 0);
  EXPECT_EQ(gpu.device.api().StreamSynchronize(stream->get()), 0);
  return host;
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

// Samples by how far they are from the CPU's.
using Differences = std::array<std::int64_t, 256>;

void Compare(const std::vector<std::uint8_t>& ours, const std::uint8_t* expected, Differences& differences) {
  for (std::size_t i = 0; i < ours.size(); ++i) ++differences[std::abs(ours[i] - expected[i])];
}

// One call of ToPlanar with several pictures.
class Batch {
 public:
  Batch(const FakeDevice& gpu, int width, int height) : gpu_(gpu), width_(width), height_(height) {}

  void Add(const Format& format, int width, int height, Random& random) {
    const ff::Frame frame = MakePicture(format, width, height, random);
    uploads_.push_back(std::make_unique<Upload>(gpu_, format, *frame, random));
    uploads_.back()->picture.orientation = RandomOrientation(random);
    const auto expected = OnTheCpu(*frame, uploads_.back()->picture.orientation, width_, height_);
    expected_.insert(expected_.end(), expected.begin(), expected.end());
  }

  // Queues it; `out` is [pictures, 3, height, width].
  Result<std::shared_ptr<const void>> Start(cuda::Preprocessor& preprocessor, cuda::BufferPool& pool,
                                            CUstream stream, const cuda::DeviceBuffer& out) const {
    std::vector<DevicePicture> pictures;
    std::vector<CUdeviceptr> targets;
    for (std::size_t i = 0; i < uploads_.size(); ++i) {
      pictures.push_back(uploads_[i]->picture);
      targets.push_back(out.address() + std::size_t{3} * width_ * height_ * i);
    }
    return preprocessor.ToPlanar(pictures, targets, width_, height_, pool, stream);
  }

  const std::vector<std::uint8_t>& expected() const { return expected_; }

 private:
  const FakeDevice& gpu_;
  const int width_;
  const int height_;
  std::vector<std::unique_ptr<Upload>> uploads_;
  std::vector<std::uint8_t> expected_;
};

struct Pipeline {
  explicit Pipeline(const FakeDevice& gpu)
      : preprocessor(cuda::Preprocessor::Load(gpu.device).value()),
        pool(std::make_shared<cuda::BufferPool>(gpu.device, kIdleBytes)),
        stream(cuda::MakeStream(gpu.device).value()) {}
  std::shared_ptr<cuda::Preprocessor> preprocessor;
  std::shared_ptr<cuda::BufferPool> pool;
  cuda::Stream stream;
};

std::vector<std::uint8_t> Planar(const FakeDevice& gpu, const Pipeline& pipeline, const Batch& batch) {
  auto out = cuda::DeviceBuffer::Allocate(gpu.device, batch.expected().size()).value();
  auto in_use = batch.Start(*pipeline.preprocessor, *pipeline.pool, pipeline.stream.get(), out);
  EXPECT_TRUE(in_use.ok()) << in_use.status().message();
  EXPECT_EQ(gpu.device.api().StreamSynchronize(pipeline.stream.get()), CUDA_SUCCESS);
  return Download(gpu, out);
}

TEST(CudaPreprocess, EqualsTheCpuPath) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(5);
  for (const Format& format : kFormats) {
    Differences differences{};
    for (int i = 0; i < 60; ++i) {
      Batch batch(gpu, random(1, 70), random(1, 70));
      const int pictures = random(1, 3);
      for (int picture = 0; picture < pictures; ++picture)
        batch.Add(format, random(1, 150), random(1, 150), random);
      Compare(Planar(gpu, pipeline, batch), batch.expected().data(), differences);
    }
    std::int64_t total = 0;
    int worst = 0;
    for (int i = 0; i < 256; ++i) {
      total += differences[i];
      if (differences[i] > 0) worst = i;
    }
    const auto far = total - differences[0] - differences[1];
    std::cout << "parity " << av_get_pix_fmt_name(format.pixels) << ": " << total << " samples, "
              << differences[0] << " equal, " << differences[1] << " off by 1, " << far
              << " by more, at most " << worst << "\n";
    EXPECT_LE(static_cast<double>(far), 0.001 * static_cast<double>(total));
    EXPECT_LE(worst, 2);
  }
}

}  // namespace
}  // namespace cosmos
