// Tests that every failure while a TensorRT engine is created or used yields one typed error and leaks
// nothing.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tensorrt_support.h"
#include "test/encode.h"

namespace cosmos::test {
namespace {

COSMOS_TENSORRT_SUITE(TensorRtFaults);

std::string Detail(const Status& status, const std::string& key) {
  for (const auto& [name, value] : status.details()) {
    if (name == key) return std::get<std::string>(value);
  }
  return "";
}

TEST_P(TensorRtFaults, KnownMessagesOfAFailedLoadHaveCauses) {
  struct Case {
    int fault;
    StatusCode code;
    const char* cause;
    const char* message;
  };
  const std::vector<Case> cases = {
      {1, StatusCode::kLibrary, "version_mismatch", "another version of TensorRT; build it again"},
      {2, StatusCode::kModel, "corrupt_plan", "cut short or damaged; build it again"},
      {3, StatusCode::kModel, "device_mismatch", "another kind of GPU; build it again"},
      {4, StatusCode::kModel, "device_mismatch", "CUDA_VISIBLE_DEVICES"},
      {5, StatusCode::kLibrary, "needs_full_runtime", "use libnvinfer itself"},
      {6, StatusCode::kOutOfMemory, "out_of_memory", "memory is full"},
      {7, StatusCode::kModel, "", "TensorRT gives no reason"},
      {8, StatusCode::kLibrary, "gpu_unsupported", "install a newer one"},
      {9, StatusCode::kModel, "", "[engine.cpp::init::9] Error Code 9: something new at 0x in engine.cpp:9"},
      {10, StatusCode::kLibrary, "version_mismatch", "another version of TensorRT; build it again"},
  };
  const TensorRtOptions options = Options();
  for (const auto& [fault, code, cause, message] : cases) {
    for (const int plan : {1, 2}) {
      const ScopedFaults faults("deserializeCudaEngine=" + std::to_string(fault) + "@" +
                                std::to_string(plan));
      const auto engine = TryCreate(options);
      ASSERT_FALSE(engine.ok()) << fault;
      const Status& status = engine.status();
      const std::string& file = plan == 1 ? options.video_path : options.text_path;
      EXPECT_EQ(status.code(), code) << fault;
      EXPECT_EQ(Detail(status, "cause"), cause) << fault;
      EXPECT_EQ(Detail(status, "file"), file);
      EXPECT_EQ(Detail(status, "log").empty(), fault == 7);
      EXPECT_NE(status.message().find(message), std::string::npos) << status.message();
      EXPECT_NE(status.message().find("cannot load " + file), std::string::npos) << status.message();
      EXPECT_EQ(status.message().find("/home/builder"), std::string::npos);
      EXPECT_EQ(Detail(status, "log").find("/home/builder"), std::string::npos);
    }
  }
  ExpectNothingLeft();
  // The failures leave no state behind.
  const auto engine = Create(options);
  ASSERT_TRUE(engine);
  ExpectVideo(Encode(*engine, std::vector{TestClip(1)}, cancel_), {TestClip(1)});
}

TEST_P(TensorRtFaults, PlansOfOtherVersionsAndGpusAreRejected) {
  TensorRtOptions options = Options();
  const std::string text = VideoPlan().text();
  const auto version = trt::Library::Open(fakes_.path()).value()->version();
  const auto other = [&](const std::string& path) {
    TensorRtOptions changed = options;
    changed.video_path = path;
    const auto engine = TryCreate(changed);
    return engine.ok() ? Status() : engine.status();
  };
  // By their header, before the library parses them.
  fakes_.Trace();
  for (const trt::Version& built : {trt::Version{8, 6, 1, 6},
                                    {version.major, version.minor, version.patch, version.build + 1},
                                    {21 - version.major, 0, 0, 1}}) {
    const Status status = other(fakes_.WritePlan("other.plan", text, built));
    EXPECT_EQ(status.code(), StatusCode::kLibrary);
    EXPECT_EQ(status.message(), "the plan " + (fakes_.folder() / "other.plan").string() +
                                    " was built by TensorRT " + built.text() + ", but " + fakes_.path() +
                                    " is " + version.text() + "; build it again with this version");
    EXPECT_EQ(Detail(status, "found"), built.text());
  }
  const std::string bad = fakes_.folder() / "bad.plan";
  for (const auto& [bytes, message] :
       {std::pair<std::string, const char*>{"", "it has 0 bytes"},
        {"ftrt", "it has 4 bytes"},
        {"\x08\x0a\x12 an ONNX graph, and not a plan at all", "it does not begin with the tag of a plan"}}) {
    std::ofstream(bad, std::ios::binary) << bytes;
    const Status status = other(bad);
    EXPECT_EQ(status.code(), StatusCode::kModel);
    EXPECT_NE(status.message().find(bad + " is not a TensorRT plan: " + message), std::string::npos)
        << status.message();
  }
  for (const std::string& path : {(fakes_.folder() / "none.plan").string(), fakes_.folder().string()}) {
    const Status status = other(path);
    EXPECT_EQ(status.code(), StatusCode::kModel);
    EXPECT_NE(status.message().find("the plan " + path + " cannot be read"), std::string::npos)
        << status.message();
  }
  EXPECT_EQ(fakes_.Trace(), "");

  // By TensorRT.
  const Status cut = other(fakes_.WritePlan("cut.plan", ""));
  EXPECT_EQ(Detail(cut, "cause"), "corrupt_plan");
  const Status gpu = other(fakes_.WritePlan("gpu.plan", "gpu 8.0\n" + text));
  EXPECT_EQ(gpu.code(), StatusCode::kModel);
  EXPECT_EQ(Detail(gpu, "cause"), "device_mismatch");
  EXPECT_TRUE(other(fakes_.WritePlan("same.plan", "gpu 9.0\n" + text)).ok());
}

TEST_P(TensorRtFaults, HostCodeRunsOnlyWithTheOption) {
  TensorRtOptions options = Options();
  options.video_path = fakes_.WritePlan("video.plan", "host_code\n" + VideoPlan().text());
  const auto refused = TryCreate(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kModel);
  options.host_code = true;
  EXPECT_TRUE(Create(options));
  // A plan that contains its own runtime may be of another version, which the library checks.
  options.video_path = fakes_.WritePlan("video.plan", VideoPlan().text(), {10, 0, 0, 6});
  EXPECT_EQ(Detail(TryCreate(options).status(), "cause"), "version_mismatch");
  EXPECT_NE(Detail(TryCreate(options).status(), "log"), "");
}

TEST_P(TensorRtFaults, AnInvalidRuntimePointerIsRejected) {
  const TensorRtOptions options = Options();
  for (const auto& [fault, message] :
       {std::pair{1, "TensorRT gives no reason"},
        {2,
         "there is no NVIDIA driver that this version of TensorRT can use; install one, or a newer one"}}) {
    const ScopedFaults faults("createInferRuntime=" + std::to_string(fault) + "@1");
    const auto engine = TryCreate(options);
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.status().code(), StatusCode::kLibrary);
    EXPECT_EQ(engine.status().message(), fakes_.path() + " cannot create a runtime: " + message);
    EXPECT_EQ(Detail(engine.status(), "library"), fakes_.path());
  }
  ExpectNothingLeft();
}

// Fails each call of the creation of an engine once, in every way that matters.
TEST_P(TensorRtFaults, AFailedCreationLeaksNothing) {
  using Left = std::tuple<std::size_t, std::size_t, int>;
  const FakeCuda cuda = fakes_.cuda();
  const auto left = [&cuda] { return Left(cuda.live_bytes(-1), cuda.pinned_bytes(), cuda.live_handles()); };
  const TensorRtOptions options = Options();
  const std::vector<std::pair<const char*, std::vector<int>>> functions = {
      {"createExecutionContext", {1, 2}},
      {"setOptimizationProfileAsync", {1}},
      {"setInputShape", {1}},
      {"setTensorAddress", {1}},
      {"cuMemAlloc_v2", {2, 999, 700}},
      {"cuMemHostAlloc", {2, 999, 700}},
      {"cuStreamCreate", {2, 999, 700}},
      {"cuEventCreate", {2, 999, 700}},
      {"cuStreamSynchronize", {999, 700}},
      {"cuCtxSetCurrent", {201}},
  };
  for (const auto& [function, faults_of] : functions) {
    for (const int fault : faults_of) {
      int failed = 0;
      for (int call = 1; call < 100; ++call) {
        const auto preprocessor = cuda::Preprocessor::Load(fakes_.device());
        ASSERT_TRUE(preprocessor.ok());
        const Left before = left();
        const std::string faults =
            std::string(function) + "=" + std::to_string(fault) + "@" + std::to_string(call);
        const bool poisons = fault == 700;
        Result<std::unique_ptr<Engine>> engine = [&] {
          const ScopedFaults scoped(faults);
          return CreateTensorRtEngine(fakes_.device(), preprocessor.value(), options);
        }();
        if (engine.ok()) break;
        ++failed;
        const StatusCode code = engine.status().code();
        if (poisons) {
          EXPECT_EQ(code, StatusCode::kDeviceLost) << faults;
        } else if (fault == 2 && std::string(function).starts_with("cu")) {
          EXPECT_EQ(code, StatusCode::kOutOfMemory) << faults;
        } else {
          EXPECT_NE(code, StatusCode::kDeviceLost) << faults;
          EXPECT_NE(code, StatusCode::kInternal) << faults;
        }
        // A thread without a context cannot free anything, nor can anything be freed on a lost device.
        if (!poisons && std::string(function) != "cuCtxSetCurrent") {
          EXPECT_EQ(left(), before) << faults;
        }
        EXPECT_FALSE(engine.status().message().empty());
        fakes_.cuda().reset();
      }
      EXPECT_GE(failed, 1) << function;
      EXPECT_LT(failed, 90) << function;
    }
  }
  EXPECT_EQ(fakes_.cuda().pending(), 0);
}

// Fails each call of a run once; the next run must succeed.
TEST_P(TensorRtFaults, ARunSucceedsAfterAFailedOne) {
  VideoPlan tao;
  tao.input = "videos float32 -1x3x2x4x4";
  tao.output = "video_embedding float32 -1x4";
  tao.min = "1x3x2x4x4";
  tao.max = "4x3x2x4x4";
  for (const bool is_tao : {false, true}) {
    const auto engine = Create(is_tao ? tao : VideoPlan());
    ASSERT_TRUE(engine);
    const std::vector<ClipPtr> clips = {TestClip(1), OnDevice(fakes_.device(), TestClip(2))};
    const std::vector<std::vector<float>> expected = {VideoVector(clips[0], is_tao),
                                                      VideoVector(TestClip(2), is_tao)};
    for (const auto& [function, fault, code] : {std::tuple{"setInputShape", 1, StatusCode::kEngine},
                                                {"enqueueV3", 1, StatusCode::kEngine},
                                                {"enqueueV3", 2, StatusCode::kOutOfMemory},
                                                {"cuMemcpyHtoDAsync_v2", 1, StatusCode::kEngine},
                                                {"cuMemcpyHtoDAsync_v2", 2, StatusCode::kOutOfMemory},
                                                {"cuMemcpyDtoDAsync_v2", 1, StatusCode::kEngine},
                                                {"cuLaunchKernel", 1, StatusCode::kEngine},
                                                {"cuMemcpyDtoHAsync_v2", 1, StatusCode::kEngine},
                                                {"cuEventRecord", 1, StatusCode::kEngine},
                                                {"cuEventSynchronize", 1, StatusCode::kEngine}}) {
      if (std::string(function) == (is_tao ? "cuMemcpyDtoDAsync_v2" : "cuLaunchKernel")) continue;
      TensorRtOptions options = Options(is_tao ? tao : VideoPlan());
      options.graphs = false;
      const auto fresh = Create(options);
      ASSERT_TRUE(fresh);
      {
        const ScopedFaults faults(std::string(function) + "=" + std::to_string(fault) + "@1");
        const auto vectors = Encode(*fresh, clips, cancel_);
        ASSERT_FALSE(vectors.ok()) << function;
        EXPECT_EQ(vectors.status().code(), code) << function << ": " << vectors.status().message();
      }
      EXPECT_EQ(fakes_.cuda().pending(), 0) << function;
      ExpectRows(Encode(*fresh, clips, cancel_), expected);
    }
  }
  ExpectNothingLeft();
}

}  // namespace
}  // namespace cosmos::test
