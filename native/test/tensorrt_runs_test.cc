// Tests runs of the TensorRT engine: several in flight, replayed as CUDA graphs, abandoned.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/executor.h"
#include "tensorrt_support.h"
#include "test/encode.h"

namespace cosmos::test {
namespace {

COSMOS_TENSORRT_SUITE(TensorRtRuns);

std::vector<ClipPtr> Clips(int first, int count) {
  std::vector<ClipPtr> clips;
  for (int i = 0; i < count; ++i) clips.push_back(TestClip(first + i));
  return clips;
}

TEST_P(TensorRtRuns, TwoAreInFlightOnSeparateProfiles) {
  const auto engine = Create();
  ASSERT_TRUE(engine);
  const auto clips_a = Clips(1, 3);
  const auto clips_b = Clips(10, 3);
  const std::vector<TokenRow> rows_a = {{1, 2}};
  const std::vector<TokenRow> rows_b = {{3}, {4, 5, 6}};
  fakes_.Trace();
  auto video_a = engine->BeginVideo(clips_a, cancel_);
  auto text_a = engine->BeginText(rows_a, cancel_);
  auto video_b = engine->BeginVideo(clips_b, cancel_);
  auto text_b = engine->BeginText(rows_b, cancel_);
  ASSERT_TRUE(video_a.ok() && video_b.ok() && text_a.ok() && text_b.ok());
  EXPECT_EQ(fakes_.Trace(),
            "enqueue profile=0 videos=3x2x3x4x4\n"
            "enqueue profile=0 input_ids=1x8 attention_mask=1x8\n"
            "enqueue profile=1 videos=3x2x3x4x4\n"
            "enqueue profile=1 input_ids=2x8 attention_mask=2x8\n");
  // Nothing has been computed yet, and a third video run finds no lane.
  EXPECT_FALSE(video_a.value()->Ready());
  EXPECT_FALSE(text_b.value()->Ready());
  EXPECT_EQ(engine->BeginVideo(clips_a, cancel_).status().code(), StatusCode::kInternal);

  ExpectVideo(video_b.value()->Finish(), clips_b);
  video_b.value().reset();
  ExpectText(text_b.value()->Finish(), rows_b);
  // The freed lane can be used before the other run has ended.
  ExpectVideo(Encode(*engine, std::span<const ClipPtr>(clips_b).first(1), cancel_), Clips(10, 1));
  while (!video_a.value()->Ready()) {
  }
  ExpectVideo(video_a.value()->Finish(), clips_a);
  ExpectText(text_a.value()->Finish(), rows_a);
}

// The lane makes a context for the shape during the second run and captures the third.
TEST_P(TensorRtRuns, AreReplayedFromTheFourthRunOfAShapeOn) {
  {
    const auto engine = Create();
    ASSERT_TRUE(engine);
    const FakeCuda cuda = fakes_.cuda();
    fakes_.Trace();
    const std::string plain = "enqueue profile=0 videos=2x2x3x4x4\n";
    const std::string captured = "capture profile=0 videos=2x2x3x4x4\n";
    for (int i = 0; i < 6; ++i) {
      const auto clips = Clips(10 * i, 2);
      ExpectVideo(Encode(*engine, clips, cancel_), clips);
    }
    EXPECT_EQ(fakes_.Trace(), plain + plain + "context\n" + plain + captured);
    EXPECT_EQ(cuda.calls("cuGraphLaunch"), 3);
    // Other shapes in between have a context of their own and leave the graph valid.
    for (int i = 0; i < 5; ++i) {
      ExpectVideo(Encode(*engine, Clips(i, 3), cancel_), Clips(i, 3));
      ExpectVideo(Encode(*engine, Clips(i, 2), cancel_), Clips(i, 2));
    }
    EXPECT_EQ(cuda.calls("cuStreamBeginCapture_v2"), 2);
    EXPECT_EQ(cuda.calls("cuGraphLaunch"), 3 + 5 + 2);
    EXPECT_EQ(cuda.calls("cuGraphExecDestroy"), 0);
  }
  ExpectNothingLeft();
}

// Rows and, by the multiple of eight that their length is padded to, one of 16 shapes.
std::vector<TokenRow> RowsOfShape(int shape, int seed) {
  return std::vector<TokenRow>(shape % 4 + 1, TokenRow(shape / 4 * 8 + 3, seed + 1));
}

TEST_P(TensorRtRuns, AreNotCapturedWhileTheirShapesDoNotRecur) {
  const auto engine = Create();
  ASSERT_TRUE(engine);
  for (int shape = 0; shape < 16; ++shape) {
    const auto rows = RowsOfShape(shape, shape);
    ExpectText(Encode(*engine, rows, cancel_), rows);
  }
  EXPECT_EQ(fakes_.cuda().calls("cuStreamBeginCapture_v2"), 0);
}

// Every context costs memory and milliseconds, so shapes that alternate must not evict each other.
TEST_P(TensorRtRuns, KeepAtMostEightContextsForShapes) {
  {
    const auto engine = Create();
    ASSERT_TRUE(engine);
    const FakeCuda cuda = fakes_.cuda();
    for (int i = 0; i < 160; ++i) {
      const auto rows = RowsOfShape(i % 16, i);
      ExpectText(Encode(*engine, rows, cancel_), rows);
    }
    EXPECT_EQ(cuda.calls("cuStreamBeginCapture_v2"), 8);
    EXPECT_EQ(cuda.calls("cuGraphLaunch"), 8 * 7);
    // A shape that has not run for long gives its context to one that recurs now.
    for (int i = 0; i < 100; ++i) {
      const auto rows = RowsOfShape(15 - i % 2, i);
      ExpectText(Encode(*engine, rows, cancel_), rows);
    }
    EXPECT_EQ(cuda.calls("cuGraphExecDestroy"), 2);
    EXPECT_EQ(cuda.calls("cuStreamBeginCapture_v2"), 10);
  }
  ExpectNothingLeft();
}

TEST_P(TensorRtRuns, ContinueInOneContextWhenNoOtherCanBeMade) {
  for (const std::string fault :
       {"createExecutionContext=1@1+", "setOptimizationProfileAsync=1@1+", "setTensorAddress=1@1+"}) {
    const auto engine = Create();
    ASSERT_TRUE(engine);
    const ScopedFaults faults(fault);
    for (int i = 0; i < 6; ++i) ExpectVideo(Encode(*engine, Clips(i, 1), cancel_), Clips(i, 1));
    EXPECT_EQ(fakes_.cuda().calls("cuStreamBeginCapture_v2"), 0) << fault;
  }
}

TEST_P(TensorRtRuns, AreNeverReplayedWithoutTheOption) {
  TensorRtOptions options = Options();
  options.graphs = false;
  const auto engine = Create(options);
  ASSERT_TRUE(engine);
  for (int i = 0; i < 4; ++i) ExpectVideo(Encode(*engine, Clips(i, 1), cancel_), Clips(i, 1));
  EXPECT_EQ(fakes_.cuda().calls("cuStreamBeginCapture_v2"), 0);
}

TEST_P(TensorRtRuns, ContinueWithoutGraphsWhenCapturingFails) {
  for (const std::string fault :
       {"enqueueV3.capture=1@1+", "enqueueV3.capture=2@1+", "cuStreamBeginCapture_v2=900@1+",
        "cuGraphInstantiateWithFlags=2@1+", "cuGraphLaunch=1@1+"}) {
    const auto engine = Create();
    ASSERT_TRUE(engine);
    const FakeCuda cuda = fakes_.cuda();
    cuda.reset();
    const ScopedFaults faults(fault);
    for (int i = 0; i < 8; ++i) {
      const auto clips = Clips(100 * i, i / 4 + 1);
      ExpectVideo(Encode(*engine, clips, cancel_), clips);
    }
    EXPECT_EQ(cuda.calls("cuStreamBeginCapture_v2"), 1) << fault;
    EXPECT_EQ(cuda.calls("cuGraphLaunch"), fault.starts_with("cuGraphLaunch") ? 1 : 0) << fault;
    EXPECT_STREQ(cuda.errors(), "");
  }
}

TEST_P(TensorRtRuns, AreNotBegunOnceCancelled) {
  const auto engine = Create();
  ASSERT_TRUE(engine);
  CancelToken cancelled;
  cancelled.Cancel();
  fakes_.Trace();
  EXPECT_EQ(Encode(*engine, Clips(1, 1), cancelled).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(fakes_.Trace(), "");
  // A run that has begun is not stopped.
  auto run = engine->BeginVideo(Clips(1, 1), cancel_);
  ASSERT_TRUE(run.ok());
  cancel_.Cancel();
  ExpectVideo(run.value()->Finish(), Clips(1, 1));
}

TEST_P(TensorRtRuns, MayBeAbandonedInFlight) {
  {
    const auto engine = Create();
    ASSERT_TRUE(engine);
    for (int i = 0; i < 5; ++i) {
      std::vector<ClipPtr> clips = {OnDevice(fakes_.device(), TestClip(i)), TestClip(i + 1)};
      auto video = engine->BeginVideo(clips, cancel_);
      ASSERT_TRUE(video.ok());
      video.value().reset();
      clips.clear();  // the fake aborts the process if queued work still touches them
    }
    ExpectVideo(Encode(*engine, Clips(7, 2), cancel_), Clips(7, 2));
    // Destroyed on another thread.
    const auto clips = Clips(3, 4);
    auto run = engine->BeginVideo(clips, cancel_);
    ASSERT_TRUE(run.ok());
    std::thread([&run] { run.value().reset(); }).join();
  }
  ExpectNothingLeft();
}

// A job of an executor, which is how the addon uses the engine.
struct Submitted {
  CancelTokenPtr cancel = std::make_shared<CancelToken>();
  std::shared_ptr<std::promise<Result<std::vector<float>>>> promise =
      std::make_shared<std::promise<Result<std::vector<float>>>>();

  template <typename Input>
  Submitted(Executor& executor, Input input) {
    executor.Submit({std::move(input), cancel, [promise = promise](Result<std::vector<float>> vectors) {
                       promise->set_value(std::move(vectors));
                     }});
  }
  Result<std::vector<float>> Get() const { return promise->get_future().get(); }
};

TEST_P(TensorRtRuns, EndWithoutPolling) {
  Executor executor(Create());
  const FakeCuda cuda = fakes_.cuda();
  for (int i = 0; i < 20; ++i) ExpectVideo(Submitted(executor, Clips(i, 2)).Get(), Clips(i, 2));
  EXPECT_EQ(cuda.calls("cuLaunchHostFunc"), 20);
  // Once when a run has begun, and once or twice when its end was announced.
  EXPECT_LE(cuda.calls("cuEventQuery"), 20 * 4);
}

TEST_P(TensorRtRuns, ReturnEachJobItsOwnRows) {
  {
    Executor executor(Create());
    std::vector<std::pair<Submitted, std::vector<ClipPtr>>> videos;
    std::vector<std::pair<Submitted, std::vector<TokenRow>>> texts;
    for (int i = 0; i < 40; ++i) {
      auto clips = Clips(7 * i, i % 7 + 1);
      if (i % 3 == 0) clips[0] = OnDevice(fakes_.device(), clips[0]);
      videos.emplace_back(Submitted(executor, clips), Clips(7 * i, i % 7 + 1));
      std::vector<TokenRow> rows(i % 9 + 1, TokenRow(i % 20 + 1, i + 1));
      texts.emplace_back(Submitted(executor, rows), rows);
    }
    for (const auto& [job, clips] : videos) ExpectVideo(job.Get(), clips);
    for (const auto& [job, rows] : texts) ExpectText(job.Get(), rows);
  }
  ExpectNothingLeft();
}

TEST_P(TensorRtRuns, EndWithTheirExecutor) {
  {
    std::vector<Submitted> jobs;
    {
      Executor executor(Create());
      for (int i = 0; i < 20; ++i) jobs.emplace_back(executor, Clips(i, 3));
    }
    for (const Submitted& job : jobs) {
      const auto vectors = job.Get();
      EXPECT_TRUE(vectors.ok() || vectors.status().code() == StatusCode::kCancelled);
    }
  }
  ExpectNothingLeft();
}

TEST_P(TensorRtRuns, HalveTheBatchOnceWhenMemoryRunsOut) {
  Executor executor(Create());
  fakes_.Trace();
  const ScopedFaults faults("enqueueV3=2@1");
  ExpectVideo(Submitted(executor, Clips(1, 6)).Get(), Clips(1, 6));
  EXPECT_EQ(fakes_.Trace(),
            "enqueue profile=0 videos=2x2x3x4x4\n"
            "enqueue profile=0 videos=2x2x3x4x4\n"
            "context\n"
            "enqueue profile=0 videos=2x2x3x4x4\n"
            "capture profile=0 videos=2x2x3x4x4\n");
}

// The driver's thread may be inside of the function that announces the end of a run when all waits fail
// already.
TEST_P(TensorRtRuns, MayBeAnnouncedAfterTheirEngineIsGone) {
  const FakeCuda cuda = fakes_.cuda();
  {
    Executor executor(Create());
    const ScopedFaults faults("run:enqueueV3=700@1");
    EXPECT_EQ(Submitted(executor, Clips(1, 2)).Get().status().code(), StatusCode::kDeviceLost);
  }
  EXPECT_EQ(cuda.Find<int (*)()>("fake_cuda_end_host_functions")(), 1);
  cuda.reset();
}

TEST_P(TensorRtRuns, AllCompleteWhenTheDeviceIsLost) {
  for (const char* fault : {"run:enqueueV3=700@2", "run:enqueueV3=810@2", "run:enqueueV3=911@3",
                            "cuEventQuery=719@3", "enqueueV3=1@2 cuMemGetInfo_v2=700@1"}) {
    Executor executor(Create());
    fakes_.cuda().reset();
    const ScopedFaults faults(fault);
    std::vector<Submitted> jobs;
    for (int i = 0; i < 8; ++i) jobs.emplace_back(executor, Clips(i, 2));
    int lost = 0;
    for (const Submitted& job : jobs) {
      const auto vectors = job.Get();
      if (vectors.ok()) continue;
      ++lost;
      EXPECT_EQ(vectors.status().code(), StatusCode::kDeviceLost)
          << fault << ": " << vectors.status().message();
    }
    EXPECT_GE(lost, 6) << fault;
    EXPECT_TRUE(fakes_.device().lost()) << fault;
    fakes_.cuda().reset();
  }
}

}  // namespace
}  // namespace cosmos::test
