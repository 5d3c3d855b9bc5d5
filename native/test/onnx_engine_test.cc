// Tests the engine with the real ONNX Runtime that `npm ci` installs, on the tiny graphs of
// scripts/goldens/make_models.py, which documents their vectors.
#include "onnxruntime/onnx_engine.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/half.h"
#include "onnxruntime/library.h"
#include "test/encode.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace {

// The calls of malloc_trim, which the function below sees in the place of glibc's. While they are watched,
// each waits a while for another to run beside it.
struct {
  std::atomic<bool> watched = false;
  std::atomic<int> calls = 0;
  std::atomic<int> running = 0;
  std::atomic<bool> overlapped = false;
} trims;

}  // namespace

extern "C" int malloc_trim(std::size_t pad) noexcept {
  static const auto real = reinterpret_cast<int (*)(std::size_t)>(dlsym(RTLD_NEXT, "malloc_trim"));
  if (!trims.watched) return real(pad);
  ++trims.calls;
  if (++trims.running > 1) trims.overlapped = true;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (!trims.overlapped && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  --trims.running;
  return real(pad);
}

namespace cosmos {
namespace {

using std::filesystem::path;

constexpr ClipShape kShape{2, 4, 4};

std::string Graph(const std::string& name) {
  return path(COSMOS_SOURCES) / "native/test/goldens" / (name + ".onnx");
}

std::string RuntimePath() {
#if defined(__aarch64__)
  const char* architecture = "arm64";
#else
  const char* architecture = "x64";
#endif
  return path(COSMOS_SOURCES) / "node_modules/onnxruntime-node/bin/napi-v6/linux" / architecture /
         "libonnxruntime.so.1";
}

OnnxOptions Options(const std::string& video, const std::string& text) {
  OnnxOptions options;
  options.library = RuntimePath();
  options.video_path = Graph(video);
  options.text_path = Graph(text);
  options.model = {kShape, 4};
  options.intra_op_threads = 1;
  return options;
}

class OnnxEngine : public testing::Test {
 protected:
  // ONNX Runtime 1.30 leaks 14 bytes when its environment is created, once per process. Only that is
  // excluded: a handle that we forget to release is still reported.
  static void SetUpTestSuite() {
#if defined(__SANITIZE_ADDRESS__)
    const __lsan::ScopedDisabler ignore_leaks;
#endif
    std::ignore = ort::Library::Open(RuntimePath());
  }

  void SetUp() override {
    if (!std::filesystem::exists(RuntimePath())) GTEST_SKIP() << "no ONNX Runtime at " << RuntimePath();
  }

  std::unique_ptr<Engine> Create(const std::string& video, const std::string& text = "text_canonical") {
    auto engine = CreateOnnxEngine(Options(video, text));
    if (!engine.ok()) {
      ADD_FAILURE() << engine.status().message();
      return nullptr;
    }
    return std::move(engine).value();
  }

  CancelToken cancel_;
};

// All pixels of frame f have the colour {10, 20, 30} + 40 f + `shift`.
ClipPtr FlatClip(int shift) {
  auto clip = std::make_shared<Clip>(kShape);
  for (int frame = 0; frame < kShape.frames; ++frame) {
    for (int channel = 0; channel < 3; ++channel) {
      std::fill_n(clip->frame(frame) + 16 * channel, 16,
                  static_cast<std::uint8_t>(10 * (channel + 1) + 40 * frame + shift));
    }
  }
  return clip;
}

std::vector<float> Unit(std::vector<float> values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  for (float& value : values) value = static_cast<float>(value / std::sqrt(squares));
  return values;
}

// Mean red, green, blue of frame 0 and red of frame 1.
std::vector<float> Expected(int shift) {
  const auto s = static_cast<float>(shift);
  return Unit({10 + s, 20 + s, 30 + s, 50 + s});
}

void ExpectNear(const Result<std::vector<float>>& found, const std::vector<std::vector<float>>& rows,
                float tolerance = 1e-6F) {
  ASSERT_TRUE(found.ok()) << found.status().message();
  std::vector<float> expected;
  for (const auto& row : rows) expected.insert(expected.end(), row.begin(), row.end());
  ASSERT_EQ(found.value().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found.value()[i], expected[i], tolerance) << i;
}

TEST_F(OnnxEngine, EncodesClipsWithACanonicalGraph) {
  const auto engine = Create("video_canonical");
  ASSERT_TRUE(engine);
  EXPECT_EQ(engine->signature().video_form, "canonical");
  EXPECT_EQ(engine->signature().max_video_batch, 0);
  EXPECT_EQ(engine->signature().video_input, "videos uint8 [batch,2,3,4,4]");
  EXPECT_EQ(engine->signature().text_input,
            "input_ids int64 [batch,tokens], attention_mask int64 [batch,tokens]");
  EXPECT_EQ(engine->info().backend, "onnxruntime");
  EXPECT_EQ(engine->info().library, RuntimePath());
  const std::vector<ClipPtr> clips = {FlatClip(0), FlatClip(100), FlatClip(7)};
  ExpectNear(Encode(*engine, clips, cancel_), {Expected(0), Expected(100), Expected(7)});
  // A smaller batch than before: the reused buffer is longer than it.
  ExpectNear(Encode(*engine, std::span(clips).last(1), cancel_), {Expected(7)});
}

TEST_F(OnnxEngine, TransposesAndScalesForTao) {
  for (const auto& [graph, max_batch] : {std::pair{"video_tao", 0}, {"video_tao_one", 1}}) {
    const auto engine = Create(graph, "text_tao");
    ASSERT_TRUE(engine);
    EXPECT_EQ(engine->signature().video_form, "tao");
    EXPECT_EQ(engine->signature().max_video_batch, max_batch);
    ExpectNear(Encode(*engine, std::vector{FlatClip(3)}, cancel_), {Expected(3)});
  }
}

TEST_F(OnnxEngine, WidensHalfPrecision) {
  const auto engine = Create("video_half");
  ASSERT_TRUE(engine);
  ExpectNear(Encode(*engine, std::vector{FlatClip(0)}, cancel_), {Expected(0)}, 1e-3F);
}

// On a processor without VNNI, ONNX Runtime's own choice adds two of these products in 16 bits, which cannot
// hold them.
TEST_F(OnnxEngine, ProductsOfBytesAreExactOnEveryProcessor) {
  const auto engine = Create("video_bytes");
  ASSERT_TRUE(engine);
  for (const int level : {0, 1, 90, 129, 200, 255}) {
    SCOPED_TRACE(level);
    const auto clip = std::make_shared<Clip>(kShape);
    std::fill_n(clip->frame(0), kShape.bytes(), static_cast<std::uint8_t>(level));
    const float sign = level < 128 ? -1.0F : 1.0F;
    ExpectNear(Encode(*engine, std::vector<ClipPtr>{clip}, cancel_),
               {Unit({127 * sign, 63.5F * sign, 64 * sign, -127 * sign})});
  }
}

TEST_F(OnnxEngine, AcceptsABatchFixedToOne) {
  const auto engine = Create("video_batch_one", "text_fixed");
  ASSERT_TRUE(engine);
  EXPECT_EQ(engine->signature().max_video_batch, 1);
  EXPECT_EQ(engine->signature().max_text_batch, 1);
  ExpectNear(Encode(*engine, std::vector{FlatClip(1)}, cancel_), {Expected(1)});
}

TEST_F(OnnxEngine, PadsAndMasksTextRows) {
  auto options = Options("video_canonical", "text_canonical");
  options.pad_token_id = 77;  // masked, so the sum must not contain it
  auto engine = CreateOnnxEngine(options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const std::vector<TokenRow> rows = {{5, 6, 7}, {9}};
  // Sum of ids, number of ids, length of the padded row, 1.
  ExpectNear(Encode(*engine.value(), rows, cancel_), {Unit({18, 3, 3, 1}), Unit({9, 1, 3, 1})});
}

TEST_F(OnnxEngine, PadsToAFixedLength) {
  const auto engine = Create("video_canonical", "text_fixed");
  ASSERT_TRUE(engine);
  ExpectNear(Encode(*engine, std::vector<TokenRow>{{5, 6}}, cancel_), {Unit({11, 2, 6, 1})});
  const auto longer = Encode(*engine, std::vector<TokenRow>{{1, 2, 3, 4, 5, 6, 7}}, cancel_);
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(longer.status().message(), "token row 0 has 7 tokens; the text graph takes at most 6");
}

TEST_F(OnnxEngine, RejectsOtherGraphsAndReportsExpectedAndFound) {
  struct Case {
    const char* video;
    const char* text;
    const char* found;
  };
  const std::vector<Case> cases = {
      {"video_wrong_input", "text_canonical",
       "pixels uint8 [batch,2,3,4,4] -> video_embeddings float32 [batch,4]"},
      {"video_wrong_output", "text_canonical",
       "videos uint8 [batch,2,3,4,4] -> embeddings float32 [batch,4]"},
      {"video_batch_three", "text_canonical", "videos uint8 [3,2,3,4,4] -> video_embeddings float32 [3,4]"},
      {"text_canonical", "text_canonical",
       "input_ids int64 [batch,tokens], attention_mask int64 [batch,tokens]"},
      {"video_canonical", "text_wrong_type", "input_ids int32 [batch,tokens]"},
      {"video_canonical", "video_canonical", "videos uint8 [batch,2,3,4,4]"},
  };
  for (const auto& [video, text, found] : cases) {
    const auto engine = CreateOnnxEngine(Options(video, text));
    ASSERT_FALSE(engine.ok()) << video << " " << text;
    EXPECT_EQ(engine.status().code(), StatusCode::kModel);
    EXPECT_NE(engine.status().message().find(found), std::string::npos) << engine.status().message();
    EXPECT_NE(engine.status().message().find("Expected: "), std::string::npos);
    EXPECT_EQ(engine.status().details().size(), 3U);
  }
}

TEST_F(OnnxEngine, RejectsGraphsThatDisagreeWithTheModel) {
  auto frames = Options("video_canonical", "text_canonical");
  frames.model.clip.frames = 8;
  auto size = Options("video_tao", "text_canonical");
  size.model.clip.width = 5;
  auto dim = Options("video_canonical", "text_canonical");
  dim.model.embedding_dim = 256;
  for (const OnnxOptions& options : {frames, size, dim}) {
    const auto engine = CreateOnnxEngine(options);
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.status().code(), StatusCode::kModel);
  }
}

TEST_F(OnnxEngine, ReportsTheFileThatCannotBeLoaded) {
  for (const char* name : {"no_such_graph", "../resize_test.cc"}) {
    auto options = Options("video_canonical", "text_canonical");
    options.video_path = Graph(name);
    const auto engine = CreateOnnxEngine(options);
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.status().code(), StatusCode::kModel);
    EXPECT_NE(engine.status().message().find(options.video_path), std::string::npos)
        << engine.status().message();
  }
}

TEST_F(OnnxEngine, CancelStopsARunInTheMiddle) {
  const auto engine = Create("video_slow");
  ASSERT_TRUE(engine);
  auto run =
      std::async(std::launch::async, [&] { return Encode(*engine, std::vector{FlatClip(0)}, cancel_); });
  // The graph loops endlessly, so the test does not depend on timing.
  EXPECT_EQ(run.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  cancel_.Cancel();
  const auto vectors = run.get();
  ASSERT_FALSE(vectors.ok());
  EXPECT_EQ(vectors.status().code(), StatusCode::kCancelled);
  // The session still works, and a run that is cancelled beforehand never begins.
  CancelToken fresh;
  CancelToken cancelled;
  cancelled.Cancel();
  EXPECT_EQ(Encode(*engine, std::vector{FlatClip(0)}, cancelled).status().code(), StatusCode::kCancelled);
  ExpectNear(Encode(*engine, std::vector<TokenRow>{{5}}, fresh), {Unit({5, 1, 1, 1})});
}

TEST_F(OnnxEngine, ARunThatNeedsTooMuchMemoryFailsAloneAndSaysWhy) {
  const auto engine = Create("video_canonical", "text_exhausting");
  ASSERT_TRUE(engine);
  for (int round = 0; round < 2; ++round) {
    const auto vectors = Encode(*engine, std::vector<TokenRow>{{6, 7}}, cancel_);
    ASSERT_FALSE(vectors.ok());
    EXPECT_EQ(vectors.status().code(), StatusCode::kOutOfMemory) << vectors.status().message();
    ExpectNear(Encode(*engine, std::vector<TokenRow>{{5, 6}}, cancel_), {Unit({11, 2, 2, 1})});
  }
}

TEST_F(OnnxEngine, ReturnsInvalidVectorsUnchecked) {
  const auto engine = Create("video_nan");
  ASSERT_TRUE(engine);
  const auto vectors = Encode(*engine, std::vector{FlatClip(-10)}, cancel_);
  ASSERT_TRUE(vectors.ok());
  EXPECT_TRUE(std::isnan(vectors.value()[0]));
}

TEST_F(OnnxEngine, OptionsDoNotChangeVectors) {
  for (const bool on : {false, true}) {
    auto options = Options("video_canonical", "text_canonical");
    options.intra_op_threads = on ? 2 : 0;
    options.spinning = options.memory_pattern = options.memory_arena = on;
    auto engine = CreateOnnxEngine(options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    ExpectNear(Encode(*engine.value(), std::vector{FlatClip(9)}, cancel_), {Expected(9)});
  }
}

// Two first calls of malloc_trim at once crash where another allocator replaces glibc's.
TEST_F(OnnxEngine, EnginesThatAreCreatedAtOnceTrimTheHeapInTurn) {
  trims.watched = true;
  auto other = std::async(std::launch::async, [this] { return Create("video_canonical"); });
  EXPECT_TRUE(Create("video_canonical"));
  EXPECT_TRUE(other.get());
  trims.watched = false;
  EXPECT_EQ(trims.calls, 2);
  EXPECT_FALSE(trims.overlapped);
}

TEST_F(OnnxEngine, TheLibraryIsOpenedOnceAndReportsItsVersion) {
  const auto first = ort::Library::Open(RuntimePath());
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(first.value(), ort::Library::Open(RuntimePath()).value());
  EXPECT_TRUE(first.value()->version().starts_with("1."));
  EXPECT_NE(first.value()->build_info().find("ORT Build Info"), std::string::npos);
}

TEST_F(OnnxEngine, TwoPathsToOneFileShareItsMemory) {
  const std::string other = testing::TempDir() + "another-onnxruntime.so";
  std::filesystem::remove(other);
  std::filesystem::create_symlink(RuntimePath(), other);
  const auto first = ort::Library::Open(RuntimePath());
  const auto second = ort::Library::Open(other);
  std::filesystem::remove(other);
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_NE(second.value(), first.value());
  EXPECT_NE(second.value()->memory(), nullptr);
  EXPECT_EQ(second.value()->memory(), first.value()->memory());
}

TEST(OnnxLibrary, ReportsWhyAFileCannotBeUsed) {
  Dl_info libc{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&std::abort), &libc), 0);
  struct Case {
    std::string path;
    StatusCode code;
    const char* reason;
  };
  const std::vector<Case> cases = {
      {"libonnxruntime.so.1", StatusCode::kInvalidArgument, "not absolute"},
      {"/nowhere/libonnxruntime.so.1", StatusCode::kLibrary, "No such file"},
      {libc.dli_fname, StatusCode::kLibrary, "OrtGetApiBase"},
      {COSMOS_OLD_ONNXRUNTIME, StatusCode::kLibrary, "its version is 1.16.3; 1.17 or newer is needed"},
  };
  for (const auto& [file, code, reason] : cases) {
    const auto library = ort::Library::Open(file);
    ASSERT_FALSE(library.ok()) << file;
    EXPECT_EQ(library.status().code(), code);
    EXPECT_NE(library.status().message().find(reason), std::string::npos) << library.status().message();
  }
}

TEST(Half, WidensEveryKindOfNumber) {
  EXPECT_EQ(HalfToFloat(0x3C00), 1.0F);
  EXPECT_EQ(HalfToFloat(0xC000), -2.0F);
  EXPECT_EQ(HalfToFloat(0x3555), 0.333251953125F);
  EXPECT_EQ(HalfToFloat(0x7BFF), 65504.0F);
  EXPECT_EQ(HalfToFloat(0x0001), 0x1p-24F);
  EXPECT_EQ(HalfToFloat(0x83FF), -0x1.FF8p-15F);
  EXPECT_TRUE(std::signbit(HalfToFloat(0x8000)));
  EXPECT_EQ(HalfToFloat(0xFC00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7E01)));
}

}  // namespace
}  // namespace cosmos
