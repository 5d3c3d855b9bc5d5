// Compares the kernels, which the fake libcuda runs on the host, with the CPU path.
#include "cuda/preprocess.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "cuda_pictures.h"
#include "cuda_support.h"

namespace cosmos {
namespace {

using cuda::DeviceBuffer;
using cuda::Preprocessor;
using test::FakeDevice;
using test::kPictureFormats;
using test::PictureBatch;
using test::PictureFormat;
using test::Pipeline;
using test::Random;
using test::ScopedFaults;
using test::ScopedVariable;

// Counts samples by their distance from the CPU path.
class Differences {
 public:
  void Add(const std::vector<std::uint8_t>& found, const std::vector<std::uint8_t>& expected) {
    for (std::size_t i = 0; i < found.size(); ++i) ++counts_[std::abs(found[i] - expected[i])];
  }
  void Print(const std::string& what) const {
    std::int64_t total = 0;
    int worst = 0;
    for (int i = 0; i < 256; ++i) {
      total += counts_[i];
      if (counts_[i] > 0) worst = i;
    }
    std::cout << "kernel parity, " << what << ": " << total << " samples, " << total - counts_[0]
              << " differ from the CPU path, by at most " << worst << "\n";
  }

 private:
  std::array<std::int64_t, 256> counts_{};
};

// Both compute swscale's two steps and Pillow's two passes in the same integers, so nothing may differ.
TEST(CudaPreprocess, EqualsTheCpuPath) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(5);
  for (const PictureFormat& format : kPictureFormats) {
    Differences differences;
    for (int i = 0; i < 60; ++i) {
      PictureBatch batch(gpu, random(1, 70), random(1, 70));
      const int pictures = random(1, 3);
      for (int picture = 0; picture < pictures; ++picture)
        batch.Add(format, random(1, 150), random(1, 150), random);
      const auto found = batch.Run(pipeline);
      differences.Add(found, batch.expected());
      EXPECT_TRUE(found == batch.expected());
    }
    differences.Print(av_get_pix_fmt_name(format.pixels));
  }
}

// Interprets the committed PTX instead of compiling its source.
TEST(CudaPreprocess, ThePtxEqualsTheCpuPath) {
  const ScopedVariable interpret("COSMOS_FAKE_CUDA_INTERPRET", "1");
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(15);
  for (const PictureFormat& format : kPictureFormats) {
    Differences differences;
    for (int i = 0; i < 12; ++i) {
      PictureBatch batch(gpu, random(1, 20), random(1, 20));
      for (int picture = 0; picture < 2; ++picture) batch.Add(format, random(1, 40), random(1, 40), random);
      const auto found = batch.Run(pipeline);
      differences.Add(found, batch.expected());
      EXPECT_TRUE(found == batch.expected());
    }
    differences.Print(std::string("interpreted PTX, ") + av_get_pix_fmt_name(format.pixels));
  }
}

// The default matrix of untagged pictures changes at 720 lines.
TEST(CudaPreprocess, EqualsTheCpuPathAtVideoSizes) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(6);
  Differences differences;
  for (const auto& [width, height] : {std::pair{640, 360}, {853, 480}, {1281, 719}, {1280, 720}}) {
    PictureBatch batch(gpu, 224, 224);
    batch.Add(random.Of(kPictureFormats), width, height, random);
    const auto found = batch.Run(pipeline);
    differences.Add(found, batch.expected());
    EXPECT_TRUE(found == batch.expected()) << width << " x " << height;
  }
  differences.Print("sizes of video to 224 x 224");
}

TEST(CudaPreprocess, TakesMorePicturesThanOneLaunchCan) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(7);
  PictureBatch batch(gpu, 9, 7);
  for (int i = 0; i < 75; ++i) {
    // Groups of equal size, one of which exceeds a launch.
    const int size = i < 40 ? 16 : 10 + i / 9;
    batch.Add(random.Of(kPictureFormats), size, size, random);
  }
  EXPECT_TRUE(batch.Run(pipeline) == batch.expected());
  EXPECT_LT(gpu.fake.calls("cuLaunchKernel"), 2 * 75);
}

TEST(CudaPreprocess, QueuesWithoutWaiting) {
  const ScopedVariable keep_going("COSMOS_FAKE_CUDA_KEEP_GOING", "1");
  const FakeDevice gpu;
  const Pipeline pipeline(gpu, 0);  // its pool keeps nothing, so a returned buffer is freed
  Random random(8);
  PictureBatch batch(gpu, 20, 20);
  batch.Add(kPictureFormats[0], 64, 48, random);
  const auto out = DeviceBuffer::Allocate(gpu.device, batch.bytes()).value();
  auto in_use = batch.Start(pipeline, out.address());
  ASSERT_TRUE(in_use.ok());
  EXPECT_EQ(gpu.fake.pending(), 2);
  EXPECT_STREQ(gpu.fake.errors(), "");
  in_use = std::shared_ptr<const void>();
  EXPECT_NE(std::string(gpu.fake.errors()).find("pending work still touches: cosmos_resize_rows"),
            std::string::npos);
}

TEST(CudaPreprocess, UploadsTheFilterOfASizeOnce) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(9);
  const auto uploads_of = [&](int width, int height) {
    PictureBatch batch(gpu, 20, 20);
    batch.Add(kPictureFormats[0], width, height, random);
    const int before = gpu.fake.calls("cuMemcpyHtoDAsync_v2");
    EXPECT_TRUE(batch.Run(pipeline) == batch.expected());
    return gpu.fake.calls("cuMemcpyHtoDAsync_v2") - before;
  };
  EXPECT_EQ(uploads_of(50, 40), 2);
  EXPECT_EQ(uploads_of(50, 40), 0);
  EXPECT_EQ(uploads_of(40, 50), 0) << "rows and columns have the same weights";
  EXPECT_EQ(uploads_of(50, 41), 1);
}

// Many sizes must not fill the GPU's memory.
TEST(CudaPreprocess, FreesTheFiltersOfOldSizes) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu, 0);
  Random random(10);
  std::size_t after_many = 0;
  for (int size = 10; size < 210; ++size) {
    PictureBatch batch(gpu, 3, 3);
    batch.Add(kPictureFormats[0], size, size, random);
    EXPECT_TRUE(batch.Run(pipeline) == batch.expected());
    if (size == 110) after_many = gpu.fake.live_bytes(0);
  }
  EXPECT_LT(gpu.fake.live_bytes(0), 3 * after_many);
}

TEST(CudaPreprocess, ServesManyThreads) {
  const FakeDevice gpu;
  const Pipeline shared(gpu);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (std::uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([&gpu, &shared, i] {
      ASSERT_TRUE(gpu.device.MakeCurrent().ok());
      Random random(i);
      Pipeline own(gpu);
      own.preprocessor = shared.preprocessor;
      own.pool = shared.pool;
      for (int round = 0; round < 10; ++round) {
        PictureBatch batch(gpu, 16, 16);
        batch.Add(random.Of(kPictureFormats), random(20, 24), random(20, 24), random);
        EXPECT_TRUE(batch.Run(own) == batch.expected());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Fault {
  int number;
  StatusCode code;
};

// Fails the n-th call of each function, for every n.
TEST(CudaPreprocess, SurvivesEveryFailureOfTheDriver) {
  for (const std::string function : {"cuCtxSetCurrent", "cuMemAlloc_v2", "cuMemcpyHtoDAsync_v2",
                                     "cuStreamSynchronize", "cuLaunchKernel"}) {
    int failures = 0;
    for (int call = 1; call < 20; ++call) {
      const FakeDevice gpu;
      const Pipeline pipeline(gpu);
      Random random(11);
      PictureBatch batch(gpu, 12, 12);
      for (const int size : {20, 20, 31}) batch.Add(kPictureFormats[0], size, size + 1, random);
      const auto out = DeviceBuffer::Allocate(gpu.device, batch.bytes()).value();
      const std::size_t before = gpu.fake.live_bytes(0);
      {
        const ScopedFaults faults(function + "=999@" + std::to_string(call));
        const auto in_use = batch.Start(pipeline, out.address());
        if (in_use.ok()) {
          gpu.device.api().StreamSynchronize(pipeline.stream.get());
          break;
        }
        ++failures;
        EXPECT_EQ(in_use.status().code(), StatusCode::kEngine) << function << " " << call;
        EXPECT_NE(in_use.status().message().find("CUDA_ERROR_UNKNOWN"), std::string::npos);
      }
      EXPECT_EQ(gpu.fake.pending(), 0) << function << " " << call;
      EXPECT_TRUE(batch.Run(pipeline) == batch.expected()) << "after " << function << " " << call;
      pipeline.pool->Trim();
      // Only the filters of four sizes remain.
      EXPECT_LT(gpu.fake.live_bytes(0), before + 4 * 12 * 4 * 20) << function << " " << call;
      EXPECT_FALSE(gpu.device.lost());
    }
    EXPECT_GE(failures, 2) << function;
  }
}

TEST(CudaPreprocess, ErrorsHaveTypes) {
  for (const Fault& fault : {Fault{2, StatusCode::kOutOfMemory}, {700, StatusCode::kDeviceLost}}) {
    const FakeDevice gpu;
    const Pipeline pipeline(gpu);
    Random random(12);
    PictureBatch batch(gpu, 12, 12);
    batch.Add(kPictureFormats[0], 20, 20, random);
    const auto out = DeviceBuffer::Allocate(gpu.device, batch.bytes()).value();
    const ScopedFaults faults("cuMemAlloc_v2=" + std::to_string(fault.number) + "@1+");
    EXPECT_EQ(batch.Start(pipeline, out.address()).status().code(), fault.code);
    EXPECT_EQ(gpu.device.lost(), fault.code == StatusCode::kDeviceLost);
  }
}

TEST(CudaPreprocess, WaitingReportsAFailedKernel) {
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(13);
  PictureBatch batch(gpu, 12, 12);
  batch.Add(kPictureFormats[0], 20, 20, random);
  const auto out = DeviceBuffer::Allocate(gpu.device, batch.bytes()).value();
  const ScopedFaults faults("run:cosmos_resize_columns=700@1");
  const auto in_use = batch.Start(pipeline, out.address());
  ASSERT_TRUE(in_use.ok());
  EXPECT_EQ(gpu.device.api().StreamSynchronize(pipeline.stream.get()), 700);
}

TEST(CudaPreprocess, LoadingReportsTheCause) {
  struct Case {
    const char* variable;
    const char* value;
    const char* message;
    StatusCode code = StatusCode::kLibrary;
  };
  for (const Case& wrong :
       {Case{"COSMOS_FAKE_CUDA_DEVICES", "Old card:7.0:64", "GPU 0 (Old card): CUDA_ERROR_NO_BINARY_FOR_GPU"},
        {"COSMOS_FAKE_CUDA_VERSION", "10020", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
        {"COSMOS_FAKE_FAULTS", "cuModuleLoadDataEx=218@1", "CUDA_ERROR_INVALID_PTX"},
        {"COSMOS_FAKE_FAULTS", "cuModuleGetFunction=500@3", "CUDA_ERROR_NOT_FOUND"},
        {"COSMOS_FAKE_FAULTS", "cuStreamCreate=999@1", "CUDA_ERROR_UNKNOWN", StatusCode::kEngine}}) {
    const ScopedVariable variable(wrong.variable, wrong.value);
    const FakeDevice gpu;
    const auto loaded = Preprocessor::Load(gpu.device);
    ASSERT_FALSE(loaded.ok());
    EXPECT_NE(loaded.status().message().find(wrong.message), std::string::npos) << loaded.status().message();
    EXPECT_EQ(loaded.status().code(), wrong.code) << wrong.value;
    EXPECT_EQ(gpu.fake.live_handles(), 0);
  }
}

TEST(CudaPreprocess, ConvertsClipsForTaoGraphs) {
  const ScopedVariable interpret("COSMOS_FAKE_CUDA_INTERPRET", "1");
  constexpr int kFrames = 3;
  constexpr int kHeight = 5;
  constexpr int kWidth = 67;
  constexpr int kPlane = kHeight * kWidth;
  constexpr int kSamples = kFrames * 3 * kPlane;
  const FakeDevice gpu;
  const Pipeline pipeline(gpu);
  Random random(14);
  std::vector<std::uint8_t> clip(kSamples);
  for (std::uint8_t& value : clip) value = static_cast<std::uint8_t>(random(0, 255));
  std::vector<float> floats(kSamples);
  const auto in = DeviceBuffer::Allocate(gpu.device, kSamples).value();
  const auto out = DeviceBuffer::Allocate(gpu.device, kSamples * sizeof(float)).value();
  auto* const stream = pipeline.stream.get();
  const cuda::Api& api = gpu.device.api();
  EXPECT_EQ(api.MemcpyHtoDAsync(in.address(), clip.data(), kSamples, stream), CUDA_SUCCESS);
  EXPECT_TRUE(
      pipeline.preprocessor->ToTao(in.address(), out.address(), kFrames, kHeight, kWidth, stream).ok());
  EXPECT_EQ(api.MemcpyDtoHAsync(floats.data(), out.address(), out.bytes(), stream), CUDA_SUCCESS);
  EXPECT_EQ(api.StreamSynchronize(stream), CUDA_SUCCESS);
  for (int frame = 0; frame < kFrames; ++frame) {
    for (int channel = 0; channel < 3; ++channel) {
      for (int i = 0; i < kPlane; ++i) {
        ASSERT_EQ(floats[(channel * kFrames + frame) * kPlane + i],
                  static_cast<float>(clip[(frame * 3 + channel) * kPlane + i]) / 255.0F);
      }
    }
  }
  const ScopedFaults faults("cuLaunchKernel=1@1");
  EXPECT_EQ(
      pipeline.preprocessor->ToTao(in.address(), out.address(), kFrames, kHeight, kWidth, stream).code(),
      StatusCode::kEngine);
}

}  // namespace
}  // namespace cosmos
