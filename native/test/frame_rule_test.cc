// Compares each frame rule with the arithmetic of its publishers (scripts/goldens/make_frame_rules.py).
#include "media/plan/frame_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "media_support.h"

namespace cosmos::test {
namespace {

// A constexpr table: compilers with sanitizers take minutes for the code of a table of vectors.
class FrameList {
 public:
  constexpr FrameList(std::initializer_list<int> frames) : size_(frames.size()) {
    std::ranges::copy(frames, frames_.begin());
  }
  bool empty() const { return size_ == 0; }
  std::vector<int> vector() const { return {frames_.begin(), frames_.begin() + size_}; }

 private:
  std::array<int, 16> frames_{};
  std::size_t size_ = 0;
};

struct FrameRuleGolden {
  std::uint32_t seed;
  int count;
  int wanted;
  FrameList curator;  // empty: refused
  FrameList rounded;
};
#include "goldens/frame_rules.inc"

// mulberry32, as in the script.
class Mulberry {
 public:
  explicit Mulberry(std::uint32_t seed) : state_(seed) {}
  int Below(int count) {
    state_ += 0x6D2B79F5;
    std::uint32_t value = (state_ ^ state_ >> 15) * (state_ | 1);
    value ^= value + (value ^ value >> 7) * (value | 61);
    return static_cast<int>((value ^ value >> 14) % static_cast<std::uint32_t>(count));
  }

 private:
  std::uint32_t state_;
};

struct Video {
  std::vector<std::int64_t> ticks;
  std::int64_t clock = 0;  // ticks per second
  int wanted = 0;

  ShownFrames Frames() const {
    const double tick = 1.0 / static_cast<double>(clock);
    const auto seconds = [this, tick](int frame) { return static_cast<double>(ticks[frame]) * tick; };
    return {.count = static_cast<int>(ticks.size()),
            .seconds = [this, seconds](int frame) { return seconds(frame) - seconds(0); },
            .clock = seconds,
            .start = 0,
            .end = seconds(static_cast<int>(ticks.size()) - 1) - seconds(0) + 1};
  }
};

Video VideoOf(std::uint32_t seed) {
  constexpr std::array kClocks = {1000, 12800, 15360, 24000, 30000, 90000};
  constexpr std::array<std::pair<int, int>, 11> kRates = {{{25, 1},
                                                           {30, 1},
                                                           {30000, 1001},
                                                           {24, 1},
                                                           {24000, 1001},
                                                           {50, 1},
                                                           {60, 1},
                                                           {20, 1},
                                                           {10, 1},
                                                           {15, 2},
                                                           {1, 1}}};
  constexpr std::array kLengths = {4, 12, 60, 400, 4000};
  constexpr std::array kWanted = {8, 8, 8, 4, 16, 1};
  Mulberry random(seed);
  Video video;
  video.clock = kClocks.at(random.Below(kClocks.size()));
  const auto [frames, seconds] = kRates.at(random.Below(kRates.size()));
  const int count = 1 + random.Below(kLengths.at(random.Below(kLengths.size())));
  const std::int64_t start = random.Below(3) == 0 ? random.Below(static_cast<int>(10 * video.clock)) : 0;
  const bool has_gaps = random.Below(3) == 0;
  video.wanted = kWanted.at(random.Below(kWanted.size()));
  std::int64_t step = 0;
  for (int i = 0; i < count; ++i) {
    video.ticks.push_back(start + (step * video.clock * seconds + frames / 2) / frames);
    step += 1 + (has_gaps && random.Below(4) == 0 ? random.Below(12) : 0);
  }
  return video;
}

TEST(FrameRule, MatchesItsPublishers) {
  for (const FrameRuleGolden& golden : kFrameRules) {
    const Video video = VideoOf(golden.seed);
    const ShownFrames frames = video.Frames();
    ASSERT_EQ(frames.count, golden.count) << "seed " << golden.seed;
    ASSERT_EQ(video.wanted, golden.wanted);
    const auto curator = ChooseFrames(NamedFrameRule::kCurator, frames, golden.wanted);
    EXPECT_EQ(curator.ok() ? curator.value() : std::vector<int>(), golden.curator.vector())
        << "seed " << golden.seed;
    if (golden.curator.empty()) {
      EXPECT_EQ(curator.status().code(), StatusCode::kMedia);
      EXPECT_NE(curator.status().message().find("\"card\" works for any video"), std::string::npos);
    }
    EXPECT_EQ(ChooseFrames(NamedFrameRule::kRounded, frames, golden.wanted).value(), golden.rounded.vector())
        << "seed " << golden.seed;
    EXPECT_EQ(ChooseFrames(NamedFrameRule::kCard, frames, golden.wanted).value(),
              ChooseFrames(golden.count, golden.wanted));
  }
}

// Times from a hostile file, which would yield too many samples to count.
TEST(FrameRule, AcceptsArbitraryTimes) {
  for (const double last : {0.0, 1e-300, 1e9, 1e18, 4e38, 1e300}) {
    const auto time = [last](int frame) { return frame == 0 ? 0.0 : last; };
    const ShownFrames frames{.count = 2, .seconds = time, .clock = time, .start = 0, .end = last};
    const auto chosen = ChooseFrames(NamedFrameRule::kCurator, frames, 8);
    if (!chosen.ok()) continue;
    for (const int frame : chosen.value()) EXPECT_TRUE(frame == 0 || frame == 1);
  }
}

TEST(FrameRule, TakesTheCallersFrames) {
  const Video video = VideoOf(6);
  const ShownFrames frames = video.Frames();
  EXPECT_EQ(ChooseFrames(FrameIndices{{49, 0, 0, 7}}, frames, 4).value(), (std::vector<int>{49, 0, 0, 7}));
  for (const std::int64_t wrong : {std::int64_t{50}, std::int64_t{1} << 40}) {
    const auto chosen = ChooseFrames(FrameIndices{{0, wrong}}, frames, 2);
    EXPECT_EQ(chosen.status().code(), StatusCode::kMedia);
    EXPECT_NE(chosen.status().message().find("frameRule.indices[1] is " + std::to_string(wrong) +
                                             ", but the range has the frames 0 to 49"),
              std::string::npos)
        << chosen.status().message();
  }
  for (int frame = 0; frame + 1 < frames.count; ++frame) {
    const double shown = frames.seconds(frame);
    const double next = frames.seconds(frame + 1);
    // A time printed with six digits, and one between two frames.
    const double printed = std::stod(std::to_string(shown));
    EXPECT_EQ(ChooseFrames(FrameTimes{{shown, printed, shown + 0.9 * (next - shown)}}, frames, 3).value(),
              (std::vector<int>(3, frame)));
  }
  for (const double wrong : {-0.5, frames.end, 1e9, std::nan("")}) {
    EXPECT_EQ(ChooseFrames(FrameTimes{{wrong}}, frames, 1).status().code(), StatusCode::kMedia);
  }
}

// When each frame is shown on the container's clock, according to ffprobe.
std::vector<double> TimesOf(const std::filesystem::path& path) {
  const auto output = RunShell(
      "ffprobe -v error -select_streams v -show_entries frame=pts_time -of csv=p=0 '" + path.string() + "'");
  std::vector<double> times;
  std::istringstream lines(output.value_or(""));
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) times.push_back(std::stod(line));
  return times;
}

struct File {
  std::string name;
  std::string arguments;
};

// A whole video uses its own clock, a part of it a clock that begins with its first frame.
TEST(FrameRule, AppliesToFilesRangesAndWindows) {
  const std::string moving = "-f lavfi -i testsrc2=s=64x48:r=25:d=6 ";
  for (const File& file :
       {File{"rule.mp4", moving + "-c:v libx264 -bf 2 -g 25"},
        {"rule_short.mp4", moving + "-frames:v 13 -c:v libx264 -g 25"},
        {"rule_late.ts", moving + "-c:v libx264 -bf 2 -g 25 -output_ts_offset 7.77"},
        {"rule_slow.mkv", "-f lavfi -i testsrc2=s=64x48:r=24000/1001:d=9 -c:v libx264 -g 12"},
        {"rule_gaps.mkv", moving + "-vf \"select='not(mod(n,7))+not(mod(n,3))'\" -fps_mode "
                                   "vfr -c:v libx264 -g 12"}}) {
    SCOPED_TRACE(file.name);
    const auto path = MakeClip(file.name, file.arguments);
    const std::vector<double> times = TimesOf(path);
    ASSERT_GE(times.size(), 13U);
    const auto part_of = [&](double start, double end) {
      std::vector<double> part;
      for (const double time : times)
        if (time - times[0] >= start - 1e-6 && time - times[0] < end - 1e-6) part.push_back(time);
      const double zero = part.front() == times.front() ? 0 : part.front();
      for (double& time : part) time -= zero;
      return part;
    };
    const auto expect = [&](const DecodedClip& clip, NamedFrameRule rule, double start, double end) {
      const std::vector<double> part = part_of(start, end);
      const auto time = [&](int frame) { return part[frame]; };
      const ShownFrames frames{.count = static_cast<int>(part.size()), .seconds = time, .clock = time};
      const auto expected = ChooseFrames(rule, frames, 8);
      ASSERT_TRUE(expected.ok()) << expected.status().message();
      for (int i = 0; i < 8; ++i) EXPECT_EQ(clip.frames[i].index, expected.value()[i]) << "frame " << i;
    };
    for (const NamedFrameRule rule : {NamedFrameRule::kCurator, NamedFrameRule::kRounded}) {
      ClipRequest request = Frames(8);
      request.frame_rule = rule;
      expect(ReadClip(MediaPath{path.string()}, request), rule, 0, 1e9);
      if (times.size() < 20) continue;
      request.start = 1.3;
      request.end = 3.9;
      expect(ReadClip(MediaPath{path.string()}, request), rule, 1.3, 3.9);
      request = Frames(8);
      request.frame_rule = rule;
      for (const DecodedClip& window :
           ReadClips(MediaPath{path.string()}, request, Windows{.seconds = 2, .stride = 1.5})) {
        expect(window, rule, window.start, window.end);
      }
    }
  }
}

TEST(FrameRule, ReturnsTheCallersFramesInTheirOrder) {
  const auto path = MakeClip("rule.mp4", "-f lavfi -i testsrc2=s=64x48:r=25:d=6 -c:v libx264 -bf 2 -g 25");
  const DecodedClip all = ReadClip(MediaPath{path.string()}, Frames(150));
  ClipRequest request = Frames(5);
  request.frame_rule = FrameIndices{{149, 3, 77, 3, 0}};
  const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
  request.frame_rule = FrameTimes{{149 / 25.0, 3 / 25.0, 77 / 25.0 + 0.01, 3 / 25.0 + 0.039, 0}};
  const DecodedClip timed = ReadClip(MediaPath{path.string()}, request);
  int i = 0;
  for (const int index : {149, 3, 77, 3, 0}) {
    EXPECT_EQ(clip.frames[i].index, index);
    EXPECT_EQ(Hash(clip.images[i]), Hash(all.images[index]));
    EXPECT_EQ(timed.frames[i].index, index);
    EXPECT_EQ(Hash(timed.images[i]), Hash(all.images[index]));
    ++i;
  }
  request.frame_rule = FrameIndices{{0, 1, 2}};
  EXPECT_EQ(ReadError(MediaPath{path.string()}, request).code(), StatusCode::kInvalidArgument);
  request.frame_rule = FrameTimes{{0, 1, 2, 3, 6.5}};
  EXPECT_EQ(ReadError(MediaPath{path.string()}, request).code(), StatusCode::kMedia);
}

}  // namespace
}  // namespace cosmos::test
