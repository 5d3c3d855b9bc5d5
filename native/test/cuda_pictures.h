// Random YUV pictures in the fake's device memory, and the CPU path's result for them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "cuda/preprocess.h"
#include "cuda_support.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos::test {

struct PictureFormat {
  AVPixelFormat pixels;
  int bit_depth;
  bool chroma_420;
};
inline constexpr std::array kPictureFormats = {
    PictureFormat{AV_PIX_FMT_YUV420P, 8, true}, PictureFormat{AV_PIX_FMT_YUV420P10LE, 10, true},
    PictureFormat{AV_PIX_FMT_YUV420P12LE, 12, true}, PictureFormat{AV_PIX_FMT_YUV444P, 8, false},
    PictureFormat{AV_PIX_FMT_YUV444P10LE, 10, false}};

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  // Uniform in [low, high].
  int operator()(int low, int high) { return std::uniform_int_distribution(low, high)(engine_); }
  template <typename T, std::size_t n>
  const T& Of(const std::array<T, n>& values) {
    return values[(*this)(0, static_cast<int>(n) - 1)];
  }

 private:
  std::mt19937 engine_;
};

// The preprocessor with a buffer pool and a stream.
struct Pipeline {
  explicit Pipeline(const FakeDevice& gpu, std::size_t idle_bytes = std::size_t{1} << 20);
  std::shared_ptr<cuda::Preprocessor> preprocessor;
  std::shared_ptr<cuda::BufferPool> pool;
  cuda::Stream stream;
};

// The pictures of one call of ToPlanar.
class PictureBatch {
 public:
  PictureBatch(const FakeDevice& gpu, int width, int height);
  ~PictureBatch();

  // Adds a picture of waves and noise with random tags, pitches and orientation.
  void Add(const PictureFormat& format, int width, int height, Random& random);
  // Size of all targets.
  std::size_t bytes() const { return expected_.size(); }
  // The CPU path's result, [pictures, 3, height, width].
  const std::vector<std::uint8_t>& expected() const { return expected_; }

  // Queues the conversion of all pictures into `out`.
  Result<std::shared_ptr<const void>> Start(const Pipeline& pipeline, CUdeviceptr out) const;
  // Converts all pictures and returns the targets; fails the test on an error.
  std::vector<std::uint8_t> Run(const Pipeline& pipeline) const;

 private:
  class Upload;
  const FakeDevice& gpu_;
  const int width_;
  const int height_;
  std::vector<std::unique_ptr<Upload>> uploads_;
  std::vector<std::uint8_t> expected_;
};

}  // namespace cosmos::test
