// Helpers for the TensorRT tests: the fakes of libcuda and libnvinfer, toy plans (test/fakes/nvinfer/plan.h),
// and the vectors that those compute.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/preprocess.h"
#include "cuda_support.h"
#include "tensorrt/library.h"
#include "tensorrt/tensorrt_engine.h"

namespace cosmos::test {

inline constexpr ClipShape kTinyClip{2, 4, 4};
inline constexpr int kTinyDim = 4;

// Fresh copies of both fakes. The devices are those of COSMOS_FAKE_CUDA_DEVICES at construction, or two of
// compute capability 9.0.
class TensorRtFakes {
 public:
  explicit TensorRtFakes(int major, const std::string& name = "libnvinfer.so");

  const std::filesystem::path& folder() const { return folder_; }
  const std::string& cuda_path() const { return cuda_; }
  const std::string& path() const { return nvinfer_; }
  cuda::Driver& driver() const;
  cuda::Device& device(int ordinal = 0) const;
  FakeCuda cuda() const { return FakeCuda(cuda_); }
  // The calls since the last Trace, one per line.
  std::string Trace() const;
  // Writes a plan of this library's version, or of another, and returns its path.
  std::string WritePlan(const std::string& name, const std::string& text) const;
  std::string WritePlan(const std::string& name, const std::string& text, const trt::Version& version) const;

 private:
  std::filesystem::path folder_;
  std::string cuda_;
  std::string nvinfer_;
};

// By default the canonical video graph with batches of 1 to 4 in two profiles.
struct VideoPlan {
  std::string input = "videos uint8 -1x2x3x4x4";
  std::string output = "video_embeddings float32 -1x4";
  std::string more;  // further lines
  int profiles = 2;
  std::string min = "1x2x3x4x4";
  std::string max = "4x2x3x4x4";
  std::string text() const;
};

// By default int64 with batches of 1 to 4 rows of 1 to 32 tokens in two profiles.
struct TextPlan {
  std::string type = "int64";
  std::string shape = "-1x-1";
  std::string output = "text_embeddings float32 -1x4";
  bool mask_first = false;
  int profiles = 2;
  std::string min = "1x1";
  std::string max = "4x32";
  std::string text() const;
};

// A clip of random samples.
ClipPtr TestClip(int seed);
// A clip with the same pixels in GPU memory.
ClipPtr OnDevice(const cuda::Device& device, const ClipPtr& clip);

// The vectors that the toy plans compute.
std::vector<float> VideoVector(const ClipPtr& clip, bool tao = false);
std::vector<float> TextVector(const TokenRow& row);

void ExpectRows(const Result<std::vector<float>>& found, const std::vector<std::vector<float>>& rows,
                float tolerance = 1e-5F);
void ExpectVideo(const Result<std::vector<float>>& found, const std::vector<ClipPtr>& clips);
void ExpectText(const Result<std::vector<float>>& found, const std::vector<TokenRow>& rows);

// Runs each test with both majors.
class TensorRtTest : public testing::TestWithParam<int> {
 protected:
  TensorRtOptions Options(const VideoPlan& video = {}, const TextPlan& text = {}) const;
  Result<std::unique_ptr<Engine>> TryCreate(const TensorRtOptions& options, int device = 0) const;
  std::unique_ptr<Engine> Create(const TensorRtOptions& options, int device = 0) const;
  std::unique_ptr<Engine> Create(const VideoPlan& video = {}, const TextPlan& text = {}) const {
    return Create(Options(video, text));
  }
  // Fails the test if anything is still allocated or queued on the GPU.
  void ExpectNothingLeft() const;

  const TensorRtFakes fakes_{GetParam()};
  CancelToken cancel_;
};

#define COSMOS_TENSORRT_SUITE(name)                              \
  using name = TensorRtTest;                                     \
  INSTANTIATE_TEST_SUITE_P(Major, name, testing::Values(10, 11), \
                           [](const auto& suite) { return std::to_string(suite.param); })

}  // namespace cosmos::test
