// Tests the engine on the fakes of libnvinfer, for both majors: the forms of graphs, batches, rejected plans.
#include "tensorrt/tensorrt_engine.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "tensorrt_support.h"
#include "test/encode.h"

namespace cosmos::test {
namespace {

COSMOS_TENSORRT_SUITE(TensorRtEngine);

TEST_P(TensorRtEngine, EncodesClipsAndText) {
  {
    const auto engine = Create();
    ASSERT_TRUE(engine);
    const EngineSignature& signature = engine->signature();
    EXPECT_EQ(signature.max_video_batch, 4);
    EXPECT_EQ(signature.max_text_batch, 4);
    EXPECT_EQ(signature.video_form, "canonical");
    EXPECT_EQ(signature.video_input, "videos uint8 [?,2,3,4,4]");
    EXPECT_EQ(signature.text_input, "input_ids int64 [?,?], attention_mask int64 [?,?]");
    EXPECT_EQ(engine->info().backend, "tensorrt");
    EXPECT_TRUE(engine->info().version.starts_with(std::to_string(GetParam()) + "."));
    EXPECT_EQ(engine->info().library, fakes_.path());
    EXPECT_EQ(engine->device(), 0);
    EXPECT_EQ(engine->lanes(Tower::kVideo), 2);
    EXPECT_EQ(engine->lanes(Tower::kText), 2);

    const std::vector clips = {TestClip(1), TestClip(2), TestClip(3), TestClip(4)};
    ExpectVideo(Encode(*engine, clips, cancel_), clips);
    // A smaller batch than before: the buffers still hold the other clips.
    const std::vector last = {TestClip(5)};
    ExpectVideo(Encode(*engine, last, cancel_), last);
    const std::vector<TokenRow> rows = {{5, 6, 7}, {9}, {1, 2, 3, 4, 5, 6, 7, 8, 9}};
    ExpectText(Encode(*engine, rows, cancel_), rows);
    ExpectText(Encode(*engine, std::vector<TokenRow>{{3}}, cancel_), {{3}});
  }
  ExpectNothingLeft();
}

TEST_P(TensorRtEngine, TakesClipsFromTheHostAndFromTheDevice) {
  for (const bool tao : {false, true}) {
    VideoPlan plan;
    if (tao) {
      plan.input = "videos float32 -1x3x2x4x4";
      plan.output = "video_embedding float32 -1x4";
      plan.min = "1x3x2x4x4";
      plan.max = "4x3x2x4x4";
    }
    const auto engine = Create(plan);
    ASSERT_TRUE(engine);
    EXPECT_EQ(engine->signature().video_form, tao ? "tao" : "canonical");
    const std::vector host = {TestClip(1), TestClip(2), TestClip(3)};
    const std::vector mixed = {OnDevice(fakes_.device(), host[0]), host[1],
                               OnDevice(fakes_.device(), host[2])};
    std::vector<std::vector<float>> expected;
    for (const ClipPtr& clip : host) expected.push_back(VideoVector(clip, tao));
    ExpectRows(Encode(*engine, mixed, cancel_), expected);
    ExpectRows(Encode(*engine, host, cancel_), expected);
  }
}

TEST_P(TensorRtEngine, WidensHalfPrecision) {
  VideoPlan video;
  video.output = "video_embeddings float16 -1x4";
  TextPlan text;
  text.output = "text_embedding float16 -1x4";
  const auto engine = Create(video, text);
  ASSERT_TRUE(engine);
  ExpectRows(Encode(*engine, std::vector{TestClip(1), TestClip(2)}, cancel_),
             {VideoVector(TestClip(1)), VideoVector(TestClip(2))}, 1e-3F);
  ExpectRows(Encode(*engine, std::vector<TokenRow>{{4, 2}}, cancel_), {TextVector({4, 2})}, 1e-3F);
}

TEST_P(TensorRtEngine, FeedsTokensInThePlansTypeAndOrder) {
  for (const char* type : {"int32", "int64"}) {
    for (const bool mask_first : {false, true}) {
      TextPlan plan;
      plan.type = type;
      plan.mask_first = mask_first;
      const auto engine = Create({}, plan);
      ASSERT_TRUE(engine);
      // The toy plan multiplies ids and mask, so their order does not change the vectors.
      const std::vector<TokenRow> rows = {{65000, 2}, {1, 1, 128000}};
      ExpectText(Encode(*engine, rows, cancel_), rows);
    }
  }
}

TEST_P(TensorRtEngine, PadsTextToRepeatedShapes) {
  struct Case {
    const char* min;
    const char* max;
    std::vector<std::size_t> lengths;
    const char* shape;
  };
  const std::vector<Case> cases = {
      {"1x1", "4x32", {3, 1}, "2x8"},      {"1x1", "4x32", {8}, "1x8"},   {"1x1", "4x32", {9, 2, 1}, "3x16"},
      {"1x16", "4x32", {3}, "1x16"},       {"1x1", "4x13", {10}, "1x13"}, {"3x1", "4x32", {2}, "3x8"},
      {"1x1", "4x5", {1, 1, 5, 1}, "4x5"},
  };
  for (const auto& [min, max, lengths, shape] : cases) {
    TextPlan plan;
    plan.min = min;
    plan.max = max;
    const auto engine = Create({}, plan);
    ASSERT_TRUE(engine);
    std::vector<TokenRow> rows;
    for (const std::size_t length : lengths) rows.emplace_back(length, static_cast<std::int64_t>(length) + 1);
    fakes_.Trace();
    ExpectText(Encode(*engine, rows, cancel_), rows);
    EXPECT_EQ(fakes_.Trace(),
              std::string("enqueue profile=0 input_ids=") + shape + " attention_mask=" + shape + "\n");
  }
}

TEST_P(TensorRtEngine, RejectsRowsThatAreTooLong) {
  TextPlan fixed;
  fixed.shape = "-1x6";
  fixed.max = "4x6";
  fixed.min = "1x6";
  TextPlan open;
  open.max = "4x13";
  for (const auto& [plan, limit] : {std::pair{fixed, 6}, {open, 13}}) {
    const auto engine = Create({}, plan);
    ASSERT_TRUE(engine);
    const std::vector<TokenRow> fits = {TokenRow(limit, 3), {1}};
    ExpectText(Encode(*engine, fits, cancel_), fits);
    const auto longer = Encode(*engine, std::vector<TokenRow>{{1}, TokenRow(limit + 1, 3)}, cancel_);
    ASSERT_FALSE(longer.ok());
    EXPECT_EQ(longer.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(longer.status().message(), "token row 1 has " + std::to_string(limit + 1) +
                                             " tokens; the text graph takes at most " +
                                             std::to_string(limit));
    // The lane is free again.
    ExpectText(Encode(*engine, fits, cancel_), fits);
  }
}

TEST_P(TensorRtEngine, FillsBatchesUpToTheProfilesMinimum) {
  VideoPlan plan;
  plan.min = "3x2x3x4x4";
  const auto engine = Create(plan);
  ASSERT_TRUE(engine);
  fakes_.Trace();
  ExpectVideo(Encode(*engine, std::vector{TestClip(8)}, cancel_), {TestClip(8)});
  EXPECT_EQ(fakes_.Trace(), "enqueue profile=0 videos=3x2x3x4x4\n");
}

TEST_P(TensorRtEngine, NeedsNoProfileForFixedShapes) {
  VideoPlan video;
  video.input = "videos uint8 1x2x3x4x4";
  video.output = "video_embeddings float32 1x4";
  video.profiles = 0;
  TextPlan text;
  text.shape = "1x6";
  text.output = "text_embeddings float32 1x4";
  text.profiles = 0;
  const auto engine = Create(video, text);
  ASSERT_TRUE(engine);
  EXPECT_EQ(engine->signature().max_video_batch, 1);
  EXPECT_EQ(engine->signature().max_text_batch, 1);
  EXPECT_EQ(engine->lanes(Tower::kVideo), 2);
  ExpectVideo(Encode(*engine, std::vector{TestClip(1)}, cancel_), {TestClip(1)});
  ExpectText(Encode(*engine, std::vector<TokenRow>{{5, 6}}, cancel_), {{5, 6}});
}

TEST_P(TensorRtEngine, HasAtMostAsManyLanesAsProfilesAndContexts) {
  for (const auto& [profiles, contexts, lanes] : {std::tuple{1, 2, 1}, {2, 1, 1}, {3, 2, 2}}) {
    VideoPlan plan;
    plan.profiles = profiles;
    TensorRtOptions options = Options(plan);
    options.contexts = contexts;
    const auto engine = Create(options);
    ASSERT_TRUE(engine);
    EXPECT_EQ(engine->lanes(Tower::kVideo), lanes);
  }
}

TEST_P(TensorRtEngine, UsesOnlyShapesThatAllProfilesAccept) {
  VideoPlan plan;
  plan.more = "profile videos 1x2x3x4x4 1x2x3x4x4 2x2x3x4x4\n";
  plan.profiles = 1;
  plan.max = "8x2x3x4x4";
  const auto engine = Create(plan);
  ASSERT_TRUE(engine);
  EXPECT_EQ(engine->signature().max_video_batch, 2);

  plan.min = "4x2x3x4x4";
  const auto apart = TryCreate(Options(plan));
  ASSERT_FALSE(apart.ok());
  EXPECT_EQ(apart.status().code(), StatusCode::kModel);
  EXPECT_NE(apart.status().message().find("share no shape of videos uint8 [?,2,3,4,4]"), std::string::npos)
      << apart.status().message();
}

TEST_P(TensorRtEngine, RunsAtTheModelsSizeIfAPlanAcceptsSeveral) {
  for (const bool tao : {false, true}) {
    VideoPlan plan;
    plan.input = tao ? "videos float32 -1x3x-1x-1x-1" : "videos uint8 -1x-1x3x-1x-1";
    plan.output = tao ? "video_embedding float32 -1x4" : "video_embeddings float32 -1x4";
    plan.min = tao ? "1x3x1x2x2" : "1x1x3x2x2";
    plan.max = tao ? "4x3x8x8x8" : "4x8x3x8x8";
    const auto engine = Create(plan);
    ASSERT_TRUE(engine);
    EXPECT_EQ(engine->signature().max_video_batch, 4);
    fakes_.Trace();
    ExpectRows(Encode(*engine, std::vector{TestClip(1), TestClip(2)}, cancel_),
               {VideoVector(TestClip(1), tao), VideoVector(TestClip(2), tao)});
    EXPECT_EQ(fakes_.Trace(),
              std::string("enqueue profile=0 videos=") + (tao ? "2x3x2x4x4\n" : "2x2x3x4x4\n"));

    plan.min = tao ? "1x3x1x6x6" : "1x1x3x6x6";
    const auto larger = TryCreate(Options(plan));
    ASSERT_FALSE(larger.ok());
    EXPECT_EQ(larger.status().code(), StatusCode::kModel);
    EXPECT_NE(larger.status().message().find("share no shape of videos"), std::string::npos)
        << larger.status().message();
  }
}

TEST_P(TensorRtEngine, AllocatesMemoryForUnusedOutputs) {
  VideoPlan plan;
  plan.more = "output hidden float32 -1x7x3\noutput flags int32 -1x1\n";
  const auto engine = Create(plan);
  ASSERT_TRUE(engine);
  ExpectVideo(Encode(*engine, std::vector{TestClip(1), TestClip(2)}, cancel_), {TestClip(1), TestClip(2)});
}

TEST_P(TensorRtEngine, RejectsOtherGraphsAndReportsExpectedAndFound) {
  VideoPlan wrong_input;
  wrong_input.input = "pixels uint8 -1x2x3x4x4";
  VideoPlan wrong_output;
  wrong_output.output = "embeddings float32 -1x4";
  VideoPlan wrong_dim;
  wrong_dim.output = "video_embeddings float32 -1x256";
  VideoPlan three;
  three.input = "videos uint8 3x2x3x4x4";
  TextPlan wrong_type;
  wrong_type.type = "float32";
  TextPlan strange;
  strange.type = "int4";
  const std::vector<std::tuple<VideoPlan, TextPlan, const char*>> cases = {
      {wrong_input, {}, "Found: pixels uint8 [?,2,3,4,4] -> video_embeddings float32 [?,4]"},
      {wrong_output, {}, "Found: videos uint8 [?,2,3,4,4] -> embeddings float32 [?,4]"},
      {wrong_dim, {}, "video_embeddings float32 [?,256]"},
      {three, {}, "Found: videos uint8 [3,2,3,4,4]"},
      {{}, wrong_type, "Expected: input_ids int64 or int32 [B,S], attention_mask int64 or int32 [B,S]"},
      {{}, strange, "Found: input_ids int8 [?,?]"},
  };
  for (const auto& [video, text, message] : cases) {
    const auto engine = TryCreate(Options(video, text));
    ASSERT_FALSE(engine.ok()) << message;
    EXPECT_EQ(engine.status().code(), StatusCode::kModel);
    EXPECT_NE(engine.status().message().find(message), std::string::npos) << engine.status().message();
  }
  VideoPlan host;
  host.more = "output flag bool -1x1\n";  // the fake keeps bool tensors in host memory
  const auto engine = TryCreate(Options(host));
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.status().code(), StatusCode::kModel);
  EXPECT_NE(engine.status().message().find("expects its tensor flag in host memory"), std::string::npos);
  ExpectNothingLeft();
}

TEST_P(TensorRtEngine, RunsOnItsOwnDevice) {
  const auto first = Create(Options(), 0);
  const auto second = Create(Options(), 1);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->device(), 1);
  EXPECT_GT(fakes_.cuda().live_bytes(0), 0U);
  EXPECT_EQ(fakes_.cuda().live_bytes(0), fakes_.cuda().live_bytes(1));
  // Both in flight at the same time, on one thread.
  const std::vector<ClipPtr> clips = {TestClip(1)};
  const std::vector<ClipPtr> others = {OnDevice(fakes_.device(1), TestClip(2))};
  auto run = first->BeginVideo(clips, cancel_);
  auto other = second->BeginVideo(others, cancel_);
  ASSERT_TRUE(run.ok() && other.ok());
  while (!run.value()->Ready() || !other.value()->Ready()) {
  }
  ExpectVideo(run.value()->Finish(), clips);
  ExpectVideo(other.value()->Finish(), {TestClip(2)});
}

TEST_P(TensorRtEngine, IsCreatedUsedAndFreedOnDifferentThreads) {
  auto engine = std::async(std::launch::async, [&] { return Create(); }).get();
  ASSERT_TRUE(engine);
  std::async(std::launch::async, [&] {
    const std::vector clips = {TestClip(1), TestClip(2)};
    ExpectVideo(Encode(*engine, clips, cancel_), clips);
  }).get();
  std::async(std::launch::async, [&] { engine.reset(); }).get();
  const std::string trace = fakes_.Trace();
  const std::string freed = "~context\n~context\n~engine\n~runtime\n";
  EXPECT_TRUE(trace.ends_with(freed + freed)) << trace;
  ExpectNothingLeft();
}

}  // namespace
}  // namespace cosmos::test
