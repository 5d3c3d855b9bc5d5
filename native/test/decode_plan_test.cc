#include "media/plan/decode_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>
#include <set>
#include <span>

#include "media/plan/frame_index.h"
#include "media/scan/window_plan.h"

namespace cosmos {
namespace {

TEST(ChooseFrames, FollowsTheRule) {
  using Frames = std::vector<int>;
  EXPECT_EQ(ChooseFrames(1, 8), (Frames{0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(ChooseFrames(2, 8), (Frames{0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(ChooseFrames(7, 8), (Frames{0, 0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(ChooseFrames(8, 8), (Frames{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(ChooseFrames(17, 8), (Frames{0, 2, 4, 6, 9, 11, 13, 16}));
  EXPECT_EQ(ChooseFrames(450, 8), (Frames{0, 64, 128, 192, 256, 320, 384, 449}));
  EXPECT_EQ(ChooseFrames(100, 1), (Frames{0}));
  EXPECT_EQ(ChooseFrames(2'000'000'000, 2), (Frames{0, 1'999'999'999}));
}

// A stream as an encoder would make it. The planner does not see the references.
struct Stream {
  std::vector<IndexedPacket> packets;
  std::vector<std::vector<int>> references;  // places, per place

  bool IsReference(int place) const {
    return std::ranges::any_of(references, [&](const auto& of) { return std::ranges::count(of, place) > 0; });
  }
};

// Adds the pictures strictly between two decoded ones: a B pyramid when `pyramid`, else plain B pictures.
void AddBetween(Stream& stream, std::int64_t left, std::int64_t right, int left_place, int right_place,
                bool pyramid) {
  if (right - left < 2) return;
  const auto add = [&](std::int64_t pts) {
    stream.packets.push_back({.pts = pts, .dts = IndexedPacket::kNoTime, .keyframe = false, .shown = true});
    stream.references.push_back({left_place, right_place});
    return static_cast<int>(stream.packets.size()) - 1;
  };
  if (!pyramid) {
    for (std::int64_t pts = left + 1; pts < right; ++pts) add(pts);
    return;
  }
  const std::int64_t middle = (left + right) / 2;
  const int place = add(middle);
  AddBetween(stream, left, middle, left_place, place, pyramid);
  AddBetween(stream, middle, right, place, right_place, pyramid);
}

Stream RandomStream(std::mt19937& random) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<>(low, high)(random); };
  Stream stream;
  const bool pyramid = pick(0, 1) == 1;
  const int most_b = pick(0, 7);
  std::int64_t shown = pick(-5, 5);  // pts of the last anchor
  int anchor = -1;
  const int gops = pick(1, 12);
  for (int gop = 0; gop < gops; ++gop) {
    const bool open = gop > 0 && pick(0, 1) == 1;
    const std::int64_t gap = open ? pick(1, most_b + 1) : 1;
    stream.packets.push_back(
        {.pts = shown + gap, .dts = IndexedPacket::kNoTime, .keyframe = true, .shown = true});
    stream.references.emplace_back();
    const int keyframe = static_cast<int>(stream.packets.size()) - 1;
    if (open) AddBetween(stream, shown, shown + gap, anchor, keyframe, pyramid);
    anchor = keyframe;
    shown += gap;
    for (int anchors = pick(0, 20); anchors > 0; --anchors) {
      const std::int64_t next = shown + pick(1, most_b + 1);
      stream.packets.push_back(
          {.pts = next, .dts = IndexedPacket::kNoTime, .keyframe = false, .shown = true});
      stream.references.push_back({anchor});
      const int place = static_cast<int>(stream.packets.size()) - 1;
      AddBetween(stream, shown, next, anchor, place, pyramid);
      anchor = place;
      shown = next;
    }
  }
  for (IndexedPacket& packet : stream.packets) packet.shown = pick(0, 19) != 0;
  stream.packets.front().shown = true;
  return stream;
}

// The places that a decoder reconstructs correctly when it follows the plan: those whose references were all
// reconstructed since its last reset. It drops pictures that are neither wanted nor references.
std::set<int> Decode(const Stream& stream, const DecodePlan& plan) {
  std::set<int> right;
  for (const DecodeRun& run : plan.runs) {
    std::set<int> decoded;
    for (int place = run.first; place <= run.last; ++place) {
      if (!plan.wants(place) && !stream.IsReference(place)) continue;
      const auto& needs = stream.references[place];
      if (std::ranges::all_of(needs, [&](int reference) { return decoded.contains(reference); }))
        decoded.insert(place);
    }
    right.insert(decoded.begin(), decoded.end());
  }
  return right;
}

TEST(DecodePlan, DecodesEveryWantedPictureCorrectlyInRandomStreams) {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    const Stream stream = RandomStream(random);
    const FrameIndex index(stream.packets);
    const int wanted = std::uniform_int_distribution<>(1, 12)(random);
    const int delay = std::uniform_int_distribution<>(0, 10)(random);
    const std::int64_t tolerance = std::uniform_int_distribution<>(0, 3)(random) * 4;
    const std::vector<int> ranks = ChooseFrames(index.frame_count(), wanted);
    const DecodePlan plan = PlanDecode(index, ranks, {.decoder_delay = delay, .tolerance = tolerance});

    const std::set<int> right = Decode(stream, plan);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      ASSERT_TRUE(right.contains(index.place(plan.chosen[i]))) << "round " << round << " rank " << ranks[i];
      ASSERT_LE(std::abs(index.time(plan.chosen[i]) - index.time(ranks[i])), tolerance) << "round " << round;
      if (i > 0) {
        ASSERT_LE(plan.chosen[i - 1], plan.chosen[i]) << "round " << round;
      }
    }
    for (std::size_t i = 0; i < plan.runs.size(); ++i) {
      ASSERT_LE(plan.runs[i].first, plan.runs[i].last);
      ASSERT_TRUE(plan.wants(plan.runs[i].last)) << "a run goes on after its last wanted picture";
      if (i > 0) {
        ASSERT_GT(plan.runs[i].first - plan.runs[i - 1].last - 1, delay) << "a seek that gains nothing";
      }
    }
  }
}

// 10 GOPs of 30 packets, shown in decoding order.
FrameIndex PlainStream() {
  std::vector<IndexedPacket> packets(300);
  for (int i = 0; i < 300; ++i)
    packets[i] = {.pts = i * 10, .dts = i * 10, .keyframe = i % 30 == 0, .shown = true};
  return FrameIndex(packets);
}

TEST(DecodePlan, SeeksOnlyWhereItSkipsMoreThanTheDecoderHoldsBack) {
  const FrameIndex index = PlainStream();
  const std::vector<int> ranks = {25, 62};
  using Runs = std::vector<DecodeRun>;
  EXPECT_EQ(PlanDecode(index, ranks, {.decoder_delay = 33}).runs, (Runs{{0, 25}, {60, 62}}));
  EXPECT_EQ(PlanDecode(index, ranks, {.decoder_delay = 34}).runs, (Runs{{0, 62}}));
}

TEST(DecodePlan, ToleranceSelectsTheNearestKeyframeWithinIt) {
  const FrameIndex index = PlainStream();
  const std::vector<int> ranks = {0, 42, 85, 128, 170, 213, 256, 299};
  const DecodePlan exact = PlanDecode(index, ranks, {});
  EXPECT_EQ(exact.chosen, ranks);
  const DecodePlan plan = PlanDecode(index, ranks, {.decoder_delay = 0, .tolerance = 150});
  EXPECT_EQ(plan.chosen, (std::vector<int>{0, 30, 90, 120, 180, 210, 270, 284}));
}

TEST(FrameIndex, KeyframeForALeadingPictureIsTheOneBefore) {
  // Decoding order I0 P2 b1 | I5 b3 b4 P6; b3 and b4 are shown before I5.
  const FrameIndex index({{.pts = 0, .dts = 0, .keyframe = true},
                          {.pts = 2, .dts = 1},
                          {.pts = 1, .dts = 2},
                          {.pts = 5, .dts = 3, .keyframe = true},
                          {.pts = 3, .dts = 4},
                          {.pts = 4, .dts = 5},
                          {.pts = 6, .dts = 6}});
  EXPECT_EQ(index.KeyframeFor(4), 0);
  EXPECT_EQ(index.KeyframeFor(6), 3);
  EXPECT_EQ(index.KeyframeFor(3), 3);
  EXPECT_EQ(index.reorder_depth(), 1);
  EXPECT_TRUE(index.seekable());
}

TEST(FrameIndex, PacketsThatAreNotShownHaveNoRank) {
  const FrameIndex index(
      {{.pts = -2, .keyframe = true, .shown = false}, {.pts = -1, .shown = false}, {.pts = 0}, {.pts = 1}});
  EXPECT_EQ(index.frame_count(), 2);
  EXPECT_EQ(index.place(0), 2);
  EXPECT_EQ(index.rank(3), 1);
  EXPECT_EQ(index.KeyframeFor(2), 0);
}

TEST(FrameIndex, AClockResetContinuesTheTimeline) {
  const FrameIndex index(
      {{.pts = 100, .keyframe = true}, {.pts = 110}, {.pts = 0, .keyframe = true}, {.pts = 10}});
  EXPECT_FALSE(index.seekable());
  ASSERT_EQ(index.frame_count(), 4);
  for (int rank = 0; rank < 4; ++rank) EXPECT_EQ(index.place(rank), rank);
  for (int rank = 1; rank < 4; ++rank) EXPECT_LT(index.time(rank - 1), index.time(rank));
}

TEST(FrameIndex, ExtremeTimesDoNotOverflow) {
  std::vector<IndexedPacket> packets;
  for (int gop = 0; gop < 20; ++gop) {
    packets.push_back({.pts = -kMaxTime, .dts = -kMaxTime, .keyframe = true});
    packets.push_back({.pts = kMaxTime, .dts = kMaxTime});
  }
  const FrameIndex index(packets);
  ASSERT_EQ(index.frame_count(), 40);
  for (int rank = 1; rank < 40; ++rank) {
    EXPECT_LE(index.time(rank - 1), index.time(rank));
    EXPECT_LE(index.time(rank), kMaxTime);
  }
}

// Decoding order I0 P2 b1 P4 b3, in a container that stores decoding times only.
TEST(FrameIndex, TimesAreAssignedInDisplayOrder) {
  const std::vector<IndexedPacket> packets = {{.pts = 10, .dts = 10, .keyframe = true, .shown = false},
                                              {.pts = 20, .dts = 20},
                                              {.pts = 30, .dts = 30},
                                              {.pts = 40, .dts = 40},
                                              {.pts = 50, .dts = 50}};
  const FrameIndex index(packets, /*synthetic_times=*/false, {0, 2, 1, 4, 3});
  ASSERT_EQ(index.frame_count(), 4);
  const std::vector<int> places = {2, 1, 4, 3};
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(index.place(rank), places[rank]);
    EXPECT_EQ(index.time(rank), 20 + 10 * rank);
  }
  EXPECT_EQ(index.reorder_depth(), 1);
  EXPECT_TRUE(index.seekable());
  EXPECT_EQ(index.PlaceOf(40), 3);
}

TEST(FrameIndex, AClockThatStepsBackWithinAGopIsNotReordering) {
  std::vector<IndexedPacket> packets;
  std::vector<int> display;
  for (int place = 0; place < 200; ++place) {
    const std::int64_t time = place < 100 ? place : place - 90;
    packets.push_back({.pts = time, .dts = time, .keyframe = place == 0});
    display.push_back(place);
  }
  const FrameIndex index(packets, /*synthetic_times=*/false, display);
  EXPECT_EQ(index.reorder_depth(), 0);
  EXPECT_FALSE(index.seekable());
  for (int rank = 1; rank < 200; ++rank) EXPECT_EQ(index.time(rank), index.time(rank - 1) + 1);
}

TEST(PlanWindows, StopsWhereTheListsExceedTheMemoryLimit) {
  VideoScan scan;
  scan.index = PlainStream();
  scan.tick = 0.1;
  scan.frame_seconds = 1;
  ClipRequest request;
  request.limits.max_bytes = 1'000'000;
  const auto few = PlanWindows(scan, request, Windows{.seconds = 8, .stride = 1});
  EXPECT_TRUE(few.ok());
  const auto many = PlanWindows(scan, request, Windows{.seconds = 8, .stride = 0.01});
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.status().code(), StatusCode::kLimit);
}

// The clock is too coarse to tell the pictures apart, but was not reset.
TEST(FrameIndex, AKeyframeWithThePreviousFramesTimeIsNoReset) {
  std::vector<IndexedPacket> packets;
  for (int place = 0; place < 12; ++place) packets.push_back({.pts = place / 4, .keyframe = place % 3 == 0});
  const FrameIndex index(packets);
  EXPECT_FALSE(index.has_clock_resets());
  for (int rank = 0; rank < 12; ++rank) {
    EXPECT_EQ(index.place(rank), rank);
    EXPECT_EQ(index.time(rank), rank / 4);
  }
}

// I2 b0 b1 P5 b3 b4, where the first two b refer to pictures that were cut off.
TEST(FrameIndex, HiddenPicturesConsumeDecodingTimes) {
  const std::vector<int> display = {1, 2, 0, 4, 5, 3};
  const auto index_of = [&](std::span<const std::int64_t> times) {
    std::vector<IndexedPacket> packets;
    for (const std::int64_t time : times) packets.push_back({.pts = time, .dts = time});
    packets[0].keyframe = true;
    packets[1].shown = packets[2].shown = false;
    return FrameIndex(packets, /*synthetic_times=*/false, display);
  };
  const FrameIndex decoding = index_of(std::array<std::int64_t, 6>{0, 1, 2, 3, 4, 5});
  // As muxers write pictures that were shown before the first time they can store.
  const FrameIndex showing = index_of(std::array<std::int64_t, 6>{0, 1, 2, 3, 1, 2});
  ASSERT_EQ(decoding.frame_count(), 4);
  ASSERT_EQ(showing.frame_count(), 4);
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(decoding.time(rank), 2 + rank);
    EXPECT_EQ(showing.time(rank), rank);
    EXPECT_EQ(showing.place(rank), display[2 + static_cast<std::size_t>(rank)]);
  }
  EXPECT_FALSE(showing.has_clock_resets());
}

TEST(FrameIndex, EqualTimesAreNotSeekable) {
  EXPECT_FALSE(FrameIndex({{.pts = 0, .keyframe = true}, {.pts = 1}, {.pts = 1}}).seekable());
}

}  // namespace
}  // namespace cosmos
