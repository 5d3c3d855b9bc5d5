// Routing of clips to NVDEC or the CPU, and the queue for slots of NVDEC.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "media/decode/decode_router.h"
#include "media/decode/decode_scheduler.h"
#include "media/nvdec/nvdec.h"

namespace cosmos {
namespace {

constexpr double kFullHd = 1920.0 * 1080.0;
const DecodeWork kLong{.codec = AV_CODEC_ID_H264, .pixels = 300 * kFullHd};
const DecodeWork kShort{.codec = AV_CODEC_ID_H264, .pixels = 2 * 320 * 240.0, .setup_seconds = 0.06};

TEST(DecodeRouter, AFreeEngineGetsLongClips) {
  const DecodeRouter router(NvdecSpeed);
  EXPECT_EQ(router.Choose(kLong, {.hardware_slots = 7, .cpu_slots = 4}), DecodePath::kHardware);
  EXPECT_EQ(
      router.Choose(kLong, {.hardware_slots = 7, .hardware_clips = 6, .hardware_seconds = 9, .cpu_slots = 4}),
      DecodePath::kHardware);
}

TEST(DecodeRouter, TheCpuTakesOverWhenItIsFasterThanTheQueue) {
  const DecodeRouter router(NvdecSpeed);
  const double cpu = router.Seconds(DecodePath::kSoftware, kLong);
  const double nvdec = router.Seconds(DecodePath::kHardware, kLong);
  for (const int slots : {1, 3, 7}) {
    const double even = (cpu - nvdec) * slots;
    DecodeLoad load{
        .hardware_slots = slots, .hardware_clips = slots, .hardware_seconds = even * 0.99, .cpu_slots = 1};
    EXPECT_EQ(router.Choose(kLong, load), DecodePath::kHardware);
    load.hardware_seconds = even * 1.01;
    EXPECT_EQ(router.Choose(kLong, load), DecodePath::kSoftware);
    load.cpu_clips = 1;  // no slot is free
    EXPECT_EQ(router.Choose(kLong, load), DecodePath::kHardware);
  }
}

TEST(DecodeRouter, TheCpuIsNeverChosenWithoutAFreeSlot) {
  const DecodeRouter router(NvdecSpeed);
  const DecodeLoad load{.hardware_slots = 1, .hardware_clips = 100, .hardware_seconds = 1000};
  EXPECT_EQ(router.Choose(kLong, load), DecodePath::kHardware);
  EXPECT_EQ(router.Choose(kShort, load), DecodePath::kHardware);
}

TEST(DecodeRouter, InABulkJobTheCpuHelpsHoweverSlowItIsUpToABound) {
  DecodeRouter router(NvdecSpeed);
  for (int i = 0; i < 50; ++i) router.Learn(DecodePath::kSoftware, kLong, 10);
  const double cpu = router.Seconds(DecodePath::kSoftware, kLong);
  const double nvdec = router.Seconds(DecodePath::kHardware, kLong);
  const DecodeLoad busy{
      .hardware_slots = 7, .hardware_clips = 7, .hardware_seconds = 7 * nvdec, .cpu_slots = 1};
  DecodeWork work = kLong;
  EXPECT_EQ(router.Choose(work, busy), DecodePath::kHardware);
  // The number that wait from which on the CPU may take its time.
  const int enough = static_cast<int>(std::ceil((cpu / 4 - 2 * nvdec) * 7 / nvdec));
  ASSERT_GT(enough, 4);
  ASSERT_LT(enough, 4 * 7) << "more than four for each slot do not count";
  for (const int backlog : {1, enough / 2, enough - 1, enough + 1, 10 * enough}) {
    SCOPED_TRACE(backlog);
    work.backlog = backlog;
    EXPECT_EQ(router.Choose(work, busy), backlog >= enough ? DecodePath::kSoftware : DecodePath::kHardware);
    EXPECT_EQ(router.Choose(work, {.hardware_slots = 7, .hardware_clips = 6, .cpu_slots = 1}),
              DecodePath::kHardware);
  }
}

TEST(DecodeRouter, AShortClipIsNotWorthCreatingADecoder) {
  const DecodeRouter router(NvdecSpeed);
  const DecodeLoad load{.hardware_slots = 7, .cpu_slots = 1};
  EXPECT_EQ(router.Choose(kShort, load), DecodePath::kSoftware);
  DecodeWork ready = kShort;
  ready.setup_seconds = 0;
  EXPECT_EQ(router.Choose(ready, load), DecodePath::kHardware);
}

TEST(DecodeRouter, LearnsPerPathAndCodec) {
  DecodeRouter router(NvdecSpeed);
  const DecodeWork hevc{.codec = AV_CODEC_ID_HEVC, .pixels = kLong.pixels};
  const double other_codec = router.Seconds(DecodePath::kHardware, hevc);
  const double other_path = router.Seconds(DecodePath::kSoftware, kLong);
  const double before = router.Seconds(DecodePath::kHardware, kLong);
  for (int i = 0; i < 50; ++i) router.Learn(DecodePath::kHardware, kLong, before * 3);
  EXPECT_NEAR(router.Seconds(DecodePath::kHardware, kLong), before * 3, before * 0.01);
  EXPECT_EQ(router.Seconds(DecodePath::kHardware, hevc), other_codec);
  EXPECT_EQ(router.Seconds(DecodePath::kSoftware, kLong), other_path);
}

TEST(DecodeRouter, NoMeasurementsMakeASpeedBeyondRecovery) {
  for (const double seconds : {1e-300, 1e300}) {
    SCOPED_TRACE(seconds);
    DecodeRouter router(NvdecSpeed);
    const double before = router.Seconds(DecodePath::kHardware, kLong);
    const DecodeWork claimed{.codec = AV_CODEC_ID_H264, .pixels = 1e18};
    for (int i = 0; i < 2000; ++i) router.Learn(DecodePath::kHardware, claimed, seconds);
    for (int i = 0; i < 60; ++i) router.Learn(DecodePath::kHardware, kLong, before);
    EXPECT_NEAR(router.Seconds(DecodePath::kHardware, kLong), before, before * 0.01);
  }
}

TEST(DecodeRouter, ABacklogIsCountedUpToFourClipsForEachSlot) {
  DecodeRouter router(NvdecSpeed);
  const double nvdec = router.Seconds(DecodePath::kHardware, kLong);
  for (int i = 0; i < 50; ++i) router.Learn(DecodePath::kSoftware, kLong, 30 * nvdec);
  const DecodeLoad busy{.hardware_slots = 2, .hardware_clips = 2, .hardware_seconds = nvdec, .cpu_slots = 1};
  DecodeWork work = kLong;
  work.backlog = 1000000;
  EXPECT_EQ(router.Choose(work, busy), DecodePath::kHardware);
}

TEST(DecodeRouter, OneOutlierChangesTheEstimateLittle) {
  DecodeRouter router(NvdecSpeed);
  const double before = router.Seconds(DecodePath::kHardware, kLong);
  router.Learn(DecodePath::kHardware, kLong, 1e9);
  EXPECT_LT(router.Seconds(DecodePath::kHardware, kLong), before * 1.3);
  router.Learn(DecodePath::kHardware, kLong, 0);
  router.Learn(DecodePath::kHardware, {.codec = AV_CODEC_ID_H264}, 1);
  EXPECT_LT(router.Seconds(DecodePath::kHardware, kLong), before * 1.3);
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

TEST(DecodeScheduler, FillsItsSlotsInTheOrderOfArrival) {
  DecodeScheduler scheduler(2, 0, NvdecSpeed);
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<int> order;
  std::atomic<int> running = 0;
  std::atomic<bool> release = false;
  Caller first;
  Caller second;
  auto first_turn = scheduler.Begin(kLong, std::nullopt, first.guard());
  auto second_turn = scheduler.Begin(kLong, std::nullopt, second.guard());
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      Caller caller;
      auto turn = scheduler.Begin(kLong, std::nullopt, caller.guard());
      ASSERT_TRUE(turn.ok());
      EXPECT_LE(++running, 2);
      {
        const std::lock_guard lock(mutex);
        order.push_back(i);
      }
      while (!release) std::this_thread::yield();
      --running;
    });
    while (scheduler.waiting() != i + 1) std::this_thread::yield();
  }
  EXPECT_EQ(scheduler.running(), 2);
  first_turn = DecodeScheduler::Turn();
  const auto any = [&] {
    const std::lock_guard lock(mutex);
    return !order.empty();
  };
  while (!any()) std::this_thread::yield();
  second_turn = DecodeScheduler::Turn();
  release = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order.front(), 0);
  EXPECT_EQ(order.size(), 6U);
  EXPECT_EQ(scheduler.running(), 0);
  EXPECT_EQ(scheduler.waiting(), 0);
}

TEST(DecodeScheduler, OnlyTheCancelledCallerLeavesTheQueue) {
  DecodeScheduler scheduler(1, 0, NvdecSpeed);
  Caller holder;
  auto first_turn = scheduler.Begin(kLong, std::nullopt, holder.guard());
  Caller cancelled;
  Caller patient;
  Status status;
  std::thread waits_and_is_cancelled(
      [&] { status = scheduler.Begin(kLong, std::nullopt, cancelled.guard()).status(); });
  while (scheduler.waiting() != 1) std::this_thread::yield();
  bool got_turn = false;
  std::thread waits([&] { got_turn = scheduler.Begin(kLong, std::nullopt, patient.guard()).ok(); });
  while (scheduler.waiting() != 2) std::this_thread::yield();
  cancelled.Cancel();
  waits_and_is_cancelled.join();
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(scheduler.waiting(), 1);
  first_turn = DecodeScheduler::Turn();
  waits.join();
  EXPECT_TRUE(got_turn);
  EXPECT_EQ(scheduler.running(), 0);
}

TEST(DecodeScheduler, TheCpuIsTakenWithoutWaitingUntilItsSlotsAreFull) {
  DecodeScheduler scheduler(1, 1, NvdecSpeed);
  Caller a;
  Caller b;
  Caller c;
  // A clip that occupies NVDEC for a long time, so that the CPU finishes the next one first.
  DecodeWork huge = kLong;
  huge.pixels *= 1000;
  auto running = scheduler.Begin(huge, DecodePath::kHardware, a.guard());
  auto taken = scheduler.Begin(kLong, std::nullopt, b.guard());
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken.value().path(), DecodePath::kSoftware);
  EXPECT_TRUE(taken.value().hardware_was_busy());
  std::atomic<bool> on_hardware = false;
  std::thread waits([&] {
    auto turn = scheduler.Begin(kLong, std::nullopt, c.guard());
    on_hardware = turn.ok() && turn.value().path() == DecodePath::kHardware;
  });
  while (scheduler.waiting() != 1) std::this_thread::yield();
  running = DecodeScheduler::Turn();
  waits.join();
  EXPECT_TRUE(on_hardware);
}

TEST(DecodeScheduler, WaitingDoesNotUseUpTheTimeLimit) {
  DecodeScheduler scheduler(1, 0, NvdecSpeed);
  Caller holder;
  auto first_turn = scheduler.Begin(kLong, std::nullopt, holder.guard());
  std::thread waits([&] {
    JobGuard guard(0.02, 1 << 30);
    const JobGuard::Call call(guard, nullptr);
    auto turn = scheduler.Begin(kLong, std::nullopt, guard);
    EXPECT_TRUE(turn.ok());
    EXPECT_TRUE(guard.Check().ok());
  });
  while (scheduler.waiting() != 1) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  first_turn = DecodeScheduler::Turn();
  waits.join();
}

}  // namespace
}  // namespace cosmos
