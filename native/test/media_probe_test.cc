// Containers that must be probed wait for each other. The wait ends when the caller gives up, and is not the
// file's time.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/stopwatch.h"
#include "media/demux/probe_slot.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

using namespace std::chrono_literals;

class BusyProbes : public testing::Test {
 protected:
  void SetUp() override {
    video_ = MediaPath{
        MakeClip("probed.ts", "-f lavfi -i testsrc2=s=96x64:r=25:d=1 -c:v mpeg2video -bf 0").string()};
    for (int i = 0; i < ProbeSlot::kCount; ++i) {
      auto slot = ProbeSlot::Take(guard_);
      ASSERT_TRUE(slot.ok());
      busy_.push_back(std::move(slot).value());
    }
  }

  const JobGuard guard_{1e9, std::int64_t{1} << 30};
  std::vector<ProbeSlot> busy_;
  MediaPath video_;
};

TEST_F(BusyProbes, DoNotHoldUpACancellation) {
  const auto cancel = std::make_shared<CancelToken>();
  std::thread canceller([&] {
    std::this_thread::sleep_for(50ms);
    cancel->Cancel();
  });
  // Ends the wait in any case, so that a failure is seen.
  std::thread release([&] {
    std::this_thread::sleep_for(5s);
    busy_.clear();
  });
  const Stopwatch stopwatch;
  const auto reader = ClipReader::Open(video_, Frames(1), {}, cancel);
  EXPECT_LT(stopwatch.Milliseconds(), 4000);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.status().code(), StatusCode::kCancelled);
  canceller.join();
  release.join();
}

TEST_F(BusyProbes, AreNotChargedToTheFile) {
  ClipRequest request = Frames(1);
  request.limits.max_wall_seconds = 1;
  std::thread release([&] {
    std::this_thread::sleep_for(1500ms);
    busy_.clear();
  });
  const Status status = ReadError(video_, request);
  EXPECT_TRUE(status.ok()) << status.message();
  release.join();
}

}  // namespace
}  // namespace cosmos::test
