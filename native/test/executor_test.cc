#include "engine/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <latch>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/threaded_engine.h"
#include "test/blocking_engine.h"

namespace cosmos {
namespace {

using Vectors = Result<std::vector<float>>;

constexpr ClipShape kShape{2, 4, 4};
constexpr int kDim = 2;

// Encodes a row as `vector` of its first token, after calling `gate`, which may block.
class FakeEngine final : public BlockingEngine {
 public:
  explicit FakeEngine(int max_text_batch = 0) {
    signature_.clip = kShape;
    signature_.embedding_dim = kDim;
    signature_.max_text_batch = max_text_batch;
  }
  const EngineSignature& signature() const override { return signature_; }
  const EngineInfo& info() const override { return info_; }
  Vectors EncodeVideo(std::span<const ClipPtr> clips, CancelToken& /*cancel*/) override {
    return std::vector<float>(clips.size() * kDim, std::sqrt(0.5F));
  }
  Vectors EncodeText(std::span<const TokenRow> rows, CancelToken& cancel) override {
    batches.push_back(static_cast<int>(rows.size()));
    std::vector<float> result;
    for (const TokenRow& row : rows) {
      gate(row[0], cancel);
      order.push_back(row[0]);
      if (cancel.cancelled()) return Status(StatusCode::kCancelled, "stopped inside");
      const auto [x, y] = vector(row[0]);
      result.insert(result.end(), {x, y});
    }
    return result;
  }

  std::function<void(std::int64_t, CancelToken&)> gate = [](std::int64_t, CancelToken&) {};
  std::function<std::pair<float, float>(std::int64_t)> vector = [](std::int64_t) {
    return std::pair(1.0F, 0.0F);
  };
  std::vector<std::int64_t> order;
  std::vector<int> batches;

 private:
  EngineSignature signature_;
  EngineInfo info_;
};

struct Submitted {
  CancelTokenPtr cancel;
  std::future<Vectors> result;
};

Submitted Submit(Executor& executor, decltype(EncodeJob::input) input,
                 const CancelTokenPtr& cancel = nullptr) {
  auto promise = std::make_shared<std::promise<Vectors>>();
  Submitted submitted{cancel ? cancel : std::make_shared<CancelToken>(), promise->get_future()};
  executor.Submit({std::move(input), submitted.cancel, [promise](Vectors vectors) {
                     promise->set_value(std::move(vectors));
                   }});  // throws when called twice
  return submitted;
}

std::vector<TokenRow> Rows(std::initializer_list<std::int64_t> tokens) {
  std::vector<TokenRow> rows;
  for (const std::int64_t token : tokens) rows.push_back({token});
  return rows;
}

StatusCode CodeOf(const Vectors& vectors) { return vectors.ok() ? StatusCode::kOk : vectors.status().code(); }

TEST(Executor, RunsJobsInTheOrderOfSubmission) {
  auto engine = std::make_unique<FakeEngine>();
  FakeEngine& fake = *engine;
  Executor executor(std::move(engine));
  std::vector<Submitted> jobs;
  jobs.reserve(50);
  for (int i = 0; i < 50; ++i) jobs.push_back(Submit(executor, Rows({i})));
  for (Submitted& job : jobs) EXPECT_EQ(CodeOf(job.result.get()), StatusCode::kOk);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(fake.order[i], i);
}

TEST(Executor, SplitsJobsIntoTheEnginesBatchesAndKeepsTheOrderOfRows) {
  auto engine = std::make_unique<FakeEngine>(2);
  FakeEngine& fake = *engine;
  fake.vector = [](std::int64_t token) {
    return token % 2 == 0 ? std::pair(1.0F, 0.0F) : std::pair(0.0F, 1.0F);
  };
  Executor executor(std::move(engine));
  const Vectors vectors = Submit(executor, Rows({0, 1, 1, 0, 1})).result.get();
  ASSERT_TRUE(vectors.ok());
  EXPECT_EQ(vectors.value(), (std::vector<float>{1, 0, 0, 1, 0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(fake.batches, (std::vector<int>{2, 2, 1}));
}

TEST(Executor, CancellingAQueuedJobCompletesItAtOnce) {
  std::latch started(1);
  std::latch open(1);
  auto engine = std::make_unique<FakeEngine>();
  FakeEngine& fake = *engine;
  fake.gate = [&](std::int64_t token, CancelToken&) {
    if (token != 1) return;
    started.count_down();
    open.wait();
  };
  Executor executor(std::move(engine));
  Submitted running = Submit(executor, Rows({1}));
  Submitted queued = Submit(executor, Rows({2}));
  Submitted last = Submit(executor, Rows({3}));
  started.wait();
  queued.cancel->Cancel();
  // The engine still runs the first job.
  EXPECT_EQ(CodeOf(queued.result.get()), StatusCode::kCancelled);
  open.count_down();
  EXPECT_EQ(CodeOf(running.result.get()), StatusCode::kOk);
  EXPECT_EQ(CodeOf(last.result.get()), StatusCode::kOk);
  EXPECT_EQ(fake.order, (std::vector<std::int64_t>{1, 3}));
}

TEST(Executor, AJobThatIsAlreadyCancelledNeverRuns) {
  auto engine = std::make_unique<FakeEngine>();
  FakeEngine& fake = *engine;
  Executor executor(std::move(engine));
  auto cancel = std::make_shared<CancelToken>();
  cancel->Cancel();
  EXPECT_EQ(CodeOf(Submit(executor, Rows({1}), cancel).result.get()), StatusCode::kCancelled);
  EXPECT_EQ(CodeOf(Submit(executor, Rows({2})).result.get()), StatusCode::kOk);
  EXPECT_EQ(fake.order, std::vector<std::int64_t>{2});
}

// Blocks like a call of ONNX Runtime: only a listener of the token ends it.
void WaitForCancel(CancelToken& cancel) {
  std::latch cancelled(1);
  const CancelToken::Listener listener(cancel, [&] { cancelled.count_down(); });
  cancelled.wait();
}

TEST(Executor, CancellingARunningJobReachesTheEngine) {
  std::latch started(1);
  auto engine = std::make_unique<FakeEngine>();
  engine->gate = [&](std::int64_t token, CancelToken& cancel) {
    if (token != 1) return;
    started.count_down();
    WaitForCancel(cancel);
  };
  Executor executor(std::move(engine));
  Submitted running = Submit(executor, Rows({1}));
  started.wait();
  running.cancel->Cancel();
  EXPECT_EQ(CodeOf(running.result.get()), StatusCode::kCancelled);
  EXPECT_EQ(CodeOf(Submit(executor, Rows({2})).result.get()), StatusCode::kOk);
}

TEST(Executor, DestructionCancelsRunningAndQueuedJobs) {
  std::latch started(1);
  auto engine = std::make_unique<FakeEngine>();
  engine->gate = [&](std::int64_t token, CancelToken& cancel) {
    if (token == 1) started.count_down();
    WaitForCancel(cancel);
  };
  std::vector<Submitted> jobs;
  {
    Executor executor(std::move(engine));
    for (const int token : {1, 2, 3}) jobs.push_back(Submit(executor, Rows({token})));
    started.wait();
  }
  for (Submitted& job : jobs) EXPECT_EQ(CodeOf(job.result.get()), StatusCode::kCancelled);
}

TEST(Executor, EveryJobCompletesOnceWhileOthersAreCancelled) {
  Executor executor(std::make_unique<FakeEngine>());
  std::vector<Submitted> jobs;
  jobs.reserve(500);
  for (int i = 0; i < 500; ++i) jobs.push_back(Submit(executor, Rows({i})));
  std::thread canceller([&] {
    for (std::size_t i = 0; i < jobs.size(); i += 3) jobs[i].cancel->Cancel();
  });
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const StatusCode code = CodeOf(jobs[i].result.get());
    EXPECT_TRUE(code == StatusCode::kOk || (code == StatusCode::kCancelled && i % 3 == 0));
  }
  canceller.join();
}

struct NormCase {
  const char* what;
  std::pair<float, float> vector;
  StatusCode code;
};

TEST(Executor, ChecksThatEveryVectorHasUnitLength) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const NormCase& norm : {
           NormCase{"unit", {0.6F, 0.8F}, StatusCode::kOk},
           NormCase{"half precision", {0.6F * 1.005F, 0.8F * 1.005F}, StatusCode::kOk},
           NormCase{"too long", {0.6F * 1.02F, 0.8F * 1.02F}, StatusCode::kEngine},
           NormCase{"zero", {0, 0}, StatusCode::kEngine},
           NormCase{"NaN", {kNan, 1}, StatusCode::kEngine},
           NormCase{"infinite", {kInfinity, 0}, StatusCode::kEngine},
       }) {
    auto engine = std::make_unique<FakeEngine>();
    engine->vector = [&](std::int64_t token) { return token == 9 ? norm.vector : std::pair(1.0F, 0.0F); };
    Executor executor(std::move(engine));
    const Vectors vectors = Submit(executor, Rows({0, 9})).result.get();
    ASSERT_EQ(CodeOf(vectors), norm.code) << norm.what;
    if (vectors.ok()) {
      EXPECT_NEAR(std::hypot(vectors.value()[2], vectors.value()[3]), 1, 1e-6) << norm.what;
    } else {
      EXPECT_NE(vectors.status().message().find("vector 1"), std::string::npos) << vectors.status().message();
    }
  }
}

TEST(Executor, RejectsInputThatDoesNotFitTheModel) {
  Executor executor(std::make_unique<FakeEngine>());
  const auto right = std::make_shared<const Clip>(kShape);
  const auto wrong = std::make_shared<const Clip>(ClipShape{8, 4, 4});
  const Vectors clip = Submit(executor, std::vector<ClipPtr>{right, wrong}).result.get();
  ASSERT_EQ(CodeOf(clip), StatusCode::kInvalidArgument);
  EXPECT_EQ(clip.status().message(), "clip 1 has 8 frames of 4x4; the model takes 2 frames of 4x4");
  EXPECT_EQ(CodeOf(Submit(executor, std::vector<TokenRow>{{1}, {}}).result.get()),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Submit(executor, std::vector<ClipPtr>{right}).result.get()), StatusCode::kOk);
}

// The want of memory reaches C++ as an exception, which must not end the process.
TEST(Executor, TakesAThrownWantOfMemoryForAnError) {
  auto engine = std::make_unique<FakeEngine>();
  engine->gate = [](std::int64_t token, CancelToken&) {
    if (token == 1) throw std::bad_alloc();
    if (token == 2) throw std::length_error("too long");
  };
  Executor executor(std::move(engine));
  EXPECT_EQ(CodeOf(Submit(executor, Rows({1})).result.get()), StatusCode::kOutOfMemory);
  EXPECT_EQ(CodeOf(Submit(executor, Rows({2})).result.get()), StatusCode::kInternal);
  EXPECT_EQ(CodeOf(Submit(executor, Rows({3})).result.get()), StatusCode::kOk);
}

TEST(Executor, HalvesABatchForWhichMemoryWasMissing) {
  auto engine = std::make_unique<FakeEngine>();
  FakeEngine& fake = *engine;
  fake.gate = [&](std::int64_t, CancelToken&) {
    if (fake.batches.back() > 2) throw std::bad_alloc();
  };
  Executor executor(std::move(engine));
  EXPECT_EQ(CodeOf(Submit(executor, Rows({1, 2, 3, 4})).result.get()), StatusCode::kOk);
  EXPECT_EQ(fake.batches, (std::vector<int>{4, 2, 2}));
}

// Its runs occupy a thread, as those of ONNX Runtime do.
class ThreadedFake final : public ThreadedEngine {
 public:
  explicit ThreadedFake(int text_lanes) : ThreadedEngine(text_lanes) {
    signature_.clip = kShape;
    signature_.embedding_dim = kDim;
  }
  const EngineSignature& signature() const override { return signature_; }
  const EngineInfo& info() const override { return info_; }

 private:
  Result<std::vector<float>> EncodeVideo(std::span<const ClipPtr> /*clips*/,
                                         CancelToken& /*cancel*/) override {
    throw std::bad_alloc();
  }
  Result<std::vector<float>> EncodeText(std::span<const TokenRow> rows, CancelToken& /*cancel*/) override {
    if (rows[0][0] == 1) throw std::bad_alloc();
    return std::vector<float>(rows.size() * kDim, std::sqrt(0.5F));
  }

  EngineSignature signature_;
  EngineInfo info_;
};

TEST(Executor, TakesAWantOfMemoryInAThreadOfTheEngineForAnError) {
  for (const int lanes : {1, 2}) {
    SCOPED_TRACE(lanes);
    Executor executor(std::make_unique<ThreadedFake>(lanes));
    const auto clip = std::make_shared<const Clip>(kShape);
    EXPECT_EQ(CodeOf(Submit(executor, std::vector<ClipPtr>{clip}).result.get()), StatusCode::kOutOfMemory);
    EXPECT_EQ(CodeOf(Submit(executor, Rows({1})).result.get()), StatusCode::kOutOfMemory);
    EXPECT_EQ(CodeOf(Submit(executor, Rows({2})).result.get()), StatusCode::kOk);
  }
}

}  // namespace
}  // namespace cosmos
