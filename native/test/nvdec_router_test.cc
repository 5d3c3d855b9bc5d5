// Where clips go: estimates, places, and whose turn it is.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "media/nvdec/decode_router.h"
#include "media/nvdec/nvdec_scheduler.h"

namespace cosmos {
namespace {

constexpr double kFullHd = 1920.0 * 1080.0;
const DecodeWork kLong{.codec = AV_CODEC_ID_H264, .pixels = 300 * kFullHd};
const DecodeWork kShort{.codec = AV_CODEC_ID_H264, .pixels = 2 * 320 * 240.0, .setup_seconds = 0.06};

TEST(DecodeRouter, AFreeEngineGetsLongClips) {
  const DecodeRouter router;
  EXPECT_EQ(router.Choose(kLong, {.nvdec_slots = 7, .cpu_slots = 4}), DecodePath::kNvdec);
  EXPECT_EQ(router.Choose(kLong, {.nvdec_slots = 7, .nvdec_clips = 6, .nvdec_seconds = 9, .cpu_slots = 4}),
            DecodePath::kNvdec);
}

TEST(DecodeRouter, TheCpuTakesOverWhenTheQueueIsLongerThanItNeeds) {
  const DecodeRouter router;
  const double cpu = router.Seconds(DecodePath::kSoftware, kLong);
  const double nvdec = router.Seconds(DecodePath::kNvdec, kLong);
  for (const int slots : {1, 3, 7}) {
    const double even = (cpu - nvdec) * slots;
    DecodeLoad load{.nvdec_slots = slots, .nvdec_clips = slots, .nvdec_seconds = even * 0.99, .cpu_slots = 1};
    EXPECT_EQ(router.Choose(kLong, load), DecodePath::kNvdec);
    load.nvdec_seconds = even * 1.01;
    EXPECT_EQ(router.Choose(kLong, load), DecodePath::kSoftware);
    load.cpu_clips = 1;  // as many as it may
    EXPECT_EQ(router.Choose(kLong, load), DecodePath::kNvdec);
  }
}

TEST(DecodeRouter, NeverTheCpuWithoutAPlaceForIt) {
  const DecodeRouter router;
  const DecodeLoad load{.nvdec_slots = 1, .nvdec_clips = 100, .nvdec_seconds = 1000};
  EXPECT_EQ(router.Choose(kLong, load), DecodePath::kNvdec);
  EXPECT_EQ(router.Choose(kShort, load), DecodePath::kNvdec);
}

TEST(DecodeRouter, AShortClipIsNotWorthADecoder) {
  const DecodeRouter router;
  const DecodeLoad load{.nvdec_slots = 7, .cpu_slots = 1};
  EXPECT_EQ(router.Choose(kShort, load), DecodePath::kSoftware);
  DecodeWork ready = kShort;
  ready.setup_seconds = 0;
  EXPECT_EQ(router.Choose(ready, load), DecodePath::kNvdec);
}

TEST(DecodeRouter, LearnsPerPathAndCodec) {
  DecodeRouter router;
  const DecodeWork hevc{.codec = AV_CODEC_ID_HEVC, .pixels = kLong.pixels};
  const double other_codec = router.Seconds(DecodePath::kNvdec, hevc);
  const double other_path = router.Seconds(DecodePath::kSoftware, kLong);
  const double before = router.Seconds(DecodePath::kNvdec, kLong);
  for (int i = 0; i < 50; ++i) router.Learn(DecodePath::kNvdec, kLong, before * 3);
  EXPECT_NEAR(router.Seconds(DecodePath::kNvdec, kLong), before * 3, before * 0.01);
  EXPECT_EQ(router.Seconds(DecodePath::kNvdec, hevc), other_codec);
  EXPECT_EQ(router.Seconds(DecodePath::kSoftware, kLong), other_path);
}

TEST(DecodeRouter, OneOddClipDoesNotTurnItsHead) {
  DecodeRouter router;
  const double before = router.Seconds(DecodePath::kNvdec, kLong);
  router.Learn(DecodePath::kNvdec, kLong, 1e9);
  EXPECT_LT(router.Seconds(DecodePath::kNvdec, kLong), before * 1.3);
  router.Learn(DecodePath::kNvdec, kLong, 0);
  router.Learn(DecodePath::kNvdec, {.codec = AV_CODEC_ID_H264}, 1);
  EXPECT_LT(router.Seconds(DecodePath::kNvdec, kLong), before * 1.3);
}

class Caller {
 public:
  Caller() : call_(guard_, cancel_) {}
  JobGuard& guard() { return guard_; }
  void Cancel() { cancel_->Cancel(); }

 private:
  JobGuard guard_{1e9, 1 << 30};
  CancelTokenPtr cancel_ = std::make_shared<CancelToken>();
  JobGuard::Call call_;
};

TEST(NvdecScheduler, AsManyAtATimeAsThereArePlacesInTheOrderOfAsking) {
  NvdecScheduler scheduler(2, 0);
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<int> order;
  std::atomic<int> inside = 0;
  std::atomic<bool> open = false;
  Caller first;
  Caller second;
  auto held = scheduler.Begin(kLong, std::nullopt, first.guard());
  auto also = scheduler.Begin(kLong, std::nullopt, second.guard());
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      Caller caller;
      auto turn = scheduler.Begin(kLong, std::nullopt, caller.guard());
      ASSERT_TRUE(turn.ok());
      EXPECT_LE(++inside, 2);
      {
        const std::lock_guard lock(mutex);
        order.push_back(i);
      }
      while (!open) std::this_thread::yield();
      --inside;
    });
    while (scheduler.waiting() != i + 1) std::this_thread::yield();
  }
  EXPECT_EQ(scheduler.running(), 2);
  held = NvdecScheduler::Turn();
  while (order.empty()) {
    std::this_thread::yield();
    const std::lock_guard lock(mutex);
    if (!order.empty()) break;
  }
  also = NvdecScheduler::Turn();
  open = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order.front(), 0);
  EXPECT_EQ(order.size(), 6U);
  EXPECT_EQ(scheduler.running(), 0);
  EXPECT_EQ(scheduler.waiting(), 0);
}

TEST(NvdecScheduler, WhoIsCancelledLeavesTheQueueAndNobodyElseDoes) {
  NvdecScheduler scheduler(1, 0);
  Caller holder;
  auto held = scheduler.Begin(kLong, std::nullopt, holder.guard());
  Caller cancelled;
  Caller patient;
  Status status;
  std::thread gives_up([&] { status = scheduler.Begin(kLong, std::nullopt, cancelled.guard()).status(); });
  while (scheduler.waiting() != 1) std::this_thread::yield();
  bool came = false;
  std::thread waits([&] { came = scheduler.Begin(kLong, std::nullopt, patient.guard()).ok(); });
  while (scheduler.waiting() != 2) std::this_thread::yield();
  cancelled.Cancel();
  gives_up.join();
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(scheduler.waiting(), 1);
  held = NvdecScheduler::Turn();
  waits.join();
  EXPECT_TRUE(came);
  EXPECT_EQ(scheduler.running(), 0);
}

TEST(NvdecScheduler, TheCpuIsNotWaitedForAndItsPlacesCount) {
  NvdecScheduler scheduler(1, 1);
  Caller a;
  Caller b;
  Caller c;
  // A clip that takes NVDEC a long time, so that the next is better off on the CPU.
  DecodeWork huge = kLong;
  huge.pixels *= 1000;
  auto running = scheduler.Begin(huge, DecodePath::kNvdec, a.guard());
  auto taken = scheduler.Begin(kLong, std::nullopt, b.guard());
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken.value().path(), DecodePath::kSoftware);
  EXPECT_TRUE(taken.value().nvdec_was_busy());
  std::atomic<bool> on_nvdec = false;
  std::thread waits([&] {
    auto turn = scheduler.Begin(kLong, std::nullopt, c.guard());
    on_nvdec = turn.ok() && turn.value().path() == DecodePath::kNvdec;
  });
  while (scheduler.waiting() != 1) std::this_thread::yield();
  running = NvdecScheduler::Turn();
  waits.join();
  EXPECT_TRUE(on_nvdec);
}

TEST(NvdecScheduler, WaitingDoesNotUseUpTheTimeLimit) {
  NvdecScheduler scheduler(1, 0);
  Caller holder;
  auto held = scheduler.Begin(kLong, std::nullopt, holder.guard());
  std::thread waits([&] {
    JobGuard guard(0.02, 1 << 30);
    const JobGuard::Call call(guard, nullptr);
    auto turn = scheduler.Begin(kLong, std::nullopt, guard);
    EXPECT_TRUE(turn.ok());
    EXPECT_TRUE(guard.Check().ok());
  });
  while (scheduler.waiting() != 1) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  held = NvdecScheduler::Turn();
  waits.join();
}

}  // namespace
}  // namespace cosmos
