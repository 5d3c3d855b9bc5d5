// Presentation orders that the encoders of the tests cannot produce, and implausible times.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "containers.h"
#include "media_support.h"
#include "remux.h"
#include "written_h264.h"

namespace cosmos::test {
namespace {

// Each picture's number is its position in presentation order, so the ffmpeg command and the numbers must
// agree.
void ExpectAllInOrder(const std::filesystem::path& path, int count) {
  const std::vector<std::string> expected = ReferenceHashes(path);
  ASSERT_EQ(expected.size(), static_cast<std::size_t>(count));
  const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(count));
  ASSERT_EQ(clip.report.frame_count, count);
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(Hash(clip.images[i]), expected[i]) << "frame " << i;
    EXPECT_NEAR(clip.frames[i].pts, i / 25.0, 2e-3) << "frame " << i;
    if (i > 0) {
      EXPECT_GT(clip.images[i].data[0], clip.images[i - 1].data[0]);
    }
  }
  EXPECT_TRUE(clip.report.warnings.empty()) << clip.report.warnings.front();
  ClipRequest request = Frames(3);
  request.start = 9 / 25.0;
  request.end = 14 / 25.0;
  const DecodedClip part = ReadClip(MediaPath{path.string()}, request);
  EXPECT_EQ(part.report.frame_count, 5);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Hash(part.images[i]), expected[9 + 2 * i]);
}

void ExpectInEveryContainer(const std::string& name, const std::vector<WrittenPicture>& pictures) {
  for (const std::string container : {"mp4", "matroska", "mpegts", "flv", "h264", "avi"}) {
    for (const WrittenTimes times : {WrittenTimes::kRight, WrittenTimes::kOfDecoding}) {
      // An AVI stores no times, so both kinds give the same file.
      if (container == "avi" && times == WrittenTimes::kRight) continue;
      const std::string file = name + (times == WrittenTimes::kRight ? "." : "_of_decoding.") + container;
      SCOPED_TRACE(file);
      ExpectAllInOrder(WritePictures(file, container, pictures, times), static_cast<int>(pictures.size()));
    }
  }
}

// As camcorders write it: pictures that follow the IDR picture and are shown before it refer only to that
// picture.
TEST(MediaOrder, LeadingPicturesOfAnIdrPictureAreComplete) {
  std::vector<WrittenPicture> pictures;
  for (int first = 0; first < 24; first += 6) {
    pictures.push_back({.number = first + 2, .frame = 0, .order = 4, .idr = true});
    pictures.push_back({.number = first, .frame = 1, .order = 0, .reference = false});
    pictures.push_back({.number = first + 1, .frame = 1, .order = 2, .reference = false});
    pictures.push_back({.number = first + 5, .frame = 1, .order = 10});
    pictures.push_back({.number = first + 3, .frame = 2, .order = 6, .reference = false});
    pictures.push_back({.number = first + 4, .frame = 2, .order = 8, .reference = false});
  }
  ExpectInEveryContainer("leading", pictures);
}

// memory_management_control_operation 5: numbering restarts without an IDR picture.
TEST(MediaOrder, NumberingMayRestartWithoutAnIdrPicture) {
  std::vector<WrittenPicture> pictures;
  for (int first = 0; first < 24; first += 4) {
    pictures.push_back({.number = first,
                        .frame = first == 0 ? 0U : 2U,
                        .order = first == 0 ? 0U : 12U,
                        .idr = first == 0,
                        .resets = first > 0});
    pictures.push_back({.number = first + 3, .frame = 1, .order = 6});
    pictures.push_back({.number = first + 1, .frame = 2, .order = 2, .reference = false});
    pictures.push_back({.number = first + 2, .frame = 2, .order = 4, .reference = false});
  }
  ExpectInEveryContainer("anew", pictures);
}

// Times that claim more reordering than any decoder supports, that repeat, or that step back anywhere: the
// order comes from the bitstream, and no time of the container crashes the process.
TEST(MediaTimes, InAnyOrderNeitherCrashNorChangeAFrame) {
  const std::string moving = "-f lavfi -i testsrc2=s=96x64:r=25:d=3.2 ";
  const std::vector<std::function<int(int number, std::mt19937& random)>> kinds = {
      [](int number, auto&) { return number - number % 40 + 39 - number % 40; },
      [](int number, auto&) { return number % 30; }, [](int number, auto&) { return number / 20 * 20; },
      [](int, auto&) { return 7; },
      [](int, std::mt19937& random) { return static_cast<int>(random() % 500); }};
  for (const auto& [name, codec] :
       {std::pair{"h264", "-c:v libx264 -bf 3 -b_strategy 0 -g 40"},
        std::pair{"hevc", "-c:v libx265 -x265-params log-level=none:bframes=3:b-adapt=0:keyint=40"},
        std::pair{"mpeg2", "-c:v mpeg2video -bf 2 -g 40"}, std::pair{"mpeg4", "-c:v mpeg4 -bf 2 -g 40"}}) {
    const auto whole = MakeClip(std::string("order_") + name + ".mkv", moving + codec);
    const auto expected = ReferenceHashes(whole);
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      std::mt19937 random(static_cast<unsigned>(kind));  // NOLINT(cert-msc51-cpp): fixed seed
      const std::string file =
          "order_" + std::to_string(kind) + "_" + name + (kind % 2 == 0 ? ".mp4" : ".mkv");
      SCOPED_TRACE(file);
      const auto path = Remux(whole, file, [&](AVPacket& packet, int number, const auto& write) {
        constexpr int kLater = 1000;  // muxers reject pictures shown before they are decoded
        packet.pts = 40 * (kLater + kinds[kind](number, random));
        packet.dts = 40 * number;
        write(packet);
      });
      for (const int threads : {1, 3}) {
        ClipRequest request = Frames(20);
        request.threads = threads;
        const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
        ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
        for (const auto& frame : clip.frames) {
          const auto slot = static_cast<std::size_t>(&frame - clip.frames.data());
          EXPECT_EQ(Hash(clip.images[slot]), expected[static_cast<std::size_t>(frame.index)]) << frame.index;
        }
      }
    }
  }
}

// In an Ogg file whose first second was cut off; FFmpeg reads its times as unsigned.
TEST(MediaTimes, NegativeOnesAreNotFarInTheFuture) {
  for (const int group : {5, 15, 200}) {
    const std::string name = "below_" + std::to_string(group);
    const auto whole =
        MakeClip(name + ".mkv",
                 "-f lavfi -i testsrc2=s=96x64:r=25:d=2.4 -c:v libtheora -q:v 6 -g " + std::to_string(group));
    const auto path = MakeClip(name + ".ogv", "-ss 0.93 -i '" + whole.string() + "' -c copy");
    const auto expected = ReferenceHashes(path);
    const auto count = static_cast<int>(expected.size());
    ASSERT_GT(count, 30);
    const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(count));
    ASSERT_EQ(clip.report.frame_count, count);
    for (int i = 0; i < count; ++i) {
      EXPECT_NEAR(clip.frames[i].pts, i / 25.0, 1e-3);
      EXPECT_EQ(Hash(clip.images[i]), expected[i]);
    }
    EXPECT_NEAR(clip.end, count / 25.0, 1e-3);
    ClipRequest request = Frames(3);
    request.start = 0.4;
    request.end = 0.8;
    const DecodedClip part = ReadClip(MediaPath{path.string()}, request);
    EXPECT_EQ(part.report.frame_count, 10);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Hash(part.images[i]), expected[10 + i * 9 / 2]);
  }
}

TEST(MediaTimes, BeyondTheLengthOfAnyVideoAreRefused) {
  const auto whole = MakeClip("late.mp4",
                              "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -c:v libx264 -bf 2 -g 10 -movflags "
                              "frag_keyframe+empty_moov+default_base_moof");
  const auto frames = ReferenceHashes(whole);
  ASSERT_EQ(frames.size(), 25U);
  // The times of the fragments are 64-bit numbers, of which this is the upper half.
  const auto begins_at = [&](std::uint32_t high) {
    std::vector<Box> boxes = ParseBoxes(ReadFile(whole));
    for (Box& box : boxes) {
      if (box.type != "moof") continue;
      std::vector<Box> one = {box};
      Box& time = FindBox(one, std::vector<std::string>{"moof", "traf", "tfdt"});
      EXPECT_EQ(time.head.size(), 12U);
      PutBig32(time.head, 4, high);
      box = one.front();
    }
    return WriteBoxes(boxes);
  };
  for (const double start : {0.0, 0.4}) {
    ClipRequest request = Frames(5);
    request.start = start;
    for (const std::uint32_t high : {0x20000000U, 0x3fffffffU, 0x60000000U}) {
      SCOPED_TRACE(testing::Message() << high << " from " << start);
      const Status status = ReadError(Borrow(begins_at(high)), request);
      EXPECT_EQ(status.code(), StatusCode::kMedia);
      EXPECT_NE(status.message().find("out of range"), std::string::npos) << status.message();
    }
    // Below that, and where FFmpeg ignores the time or takes it for a negative one.
    for (const std::uint32_t high : {0U, 1U, 0x1000U, 0x0fffffffU, 0x1fffff00U, 0x7fffffffU, 0xffffffffU}) {
      SCOPED_TRACE(testing::Message() << high << " from " << start);
      const DecodedClip clip = ReadClip(Borrow(begins_at(high)), request);
      ASSERT_EQ(clip.images.size(), 5U);
      for (int i = 0; i < 5; ++i) {
        const auto frame = static_cast<std::size_t>(clip.frames[i].index) + (start > 0 ? 10 : 0);
        EXPECT_EQ(Hash(clip.images[i]), frames.at(frame));
        EXPECT_NEAR(clip.frames[i].pts, static_cast<double>(frame) / 25, 1e-3);
      }
    }
  }
}

// FFmpeg drops most of what overlaps, and its times of the rest are those of the file.
TEST(MediaTimes, OverlappingFragmentsKeepTheirTimes) {
  constexpr std::uint32_t kFrame = 512;  // units of time
  constexpr std::uint32_t kGroup = 20;
  const auto whole = MakeClip("overlaps.mp4",
                              "-f lavfi -i testsrc2=s=64x48:r=25:d=2.4 -c:v libx264 -bf 2 -g 20 "
                              "-sc_threshold 0 -movflags frag_keyframe+empty_moov+default_base_moof");
  // The frames at which the second and third fragment begin.
  for (const auto& [second, third] : {std::pair{10U, 30U},
                                      {20U, 39U},
                                      {19U, 38U},
                                      {3U, 20U},
                                      {0U, 0U},
                                      {20U, 20U},
                                      {45U, 90U},
                                      {40U, 20U}}) {
    SCOPED_TRACE(testing::Message() << second << ", " << third);
    std::vector<Box> boxes = ParseBoxes(ReadFile(whole));
    std::uint32_t fragment = 0;
    for (Box& box : boxes) {
      if (box.type != "moof") continue;
      std::vector<Box> one = {box};
      const std::vector<std::string> path = {"moof", "traf", "tfdt"};
      Box& time = FindBox(one, path);
      EXPECT_EQ(Big32(time.head, 8), fragment * kFrame * kGroup);
      if (fragment > 0) PutBig32(time.head, 8, kFrame * (fragment == 1 ? second : third));
      box = one.front();
      ++fragment;
    }
    ASSERT_EQ(fragment, 3U);
    const std::string name = "overlap_" + std::to_string(second) + "_" + std::to_string(third);
    const auto path = WriteFile(name + ".mp4", WriteBoxes(boxes));
    std::vector<std::int64_t> times;
    Remux(path, name + ".mkv", [&](AVPacket& packet, int, const auto&) {
      if ((packet.flags & AV_PKT_FLAG_DISCARD) == 0) times.push_back(packet.pts);
    });
    std::ranges::sort(times);
    const auto expected = ReferenceHashes(path);
    const int count = static_cast<int>(times.size());
    ASSERT_EQ(expected.size(), times.size());
    const auto seconds = [&](int frame) {
      return static_cast<double>(times[frame] - times[0]) / 25 / kFrame;
    };
    const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(count));
    ASSERT_EQ(clip.report.frame_count, count);
    for (int i = 0; i < count; ++i) {
      EXPECT_NEAR(clip.frames[i].pts, seconds(i), 1e-3) << i;
      EXPECT_EQ(Hash(clip.images[i]), expected[i]) << i;
    }
    EXPECT_NEAR(clip.end, seconds(count - 1) + 0.04, 0.011);
    ClipRequest request = Frames(3);
    request.start = 0.5;
    request.end = 1.3;
    const auto within = [&](std::int64_t time) {
      const auto second_of = static_cast<double>(time - times[0]) / 25 / kFrame;
      return second_of >= 0.5 - 1e-6 && second_of < 1.3 - 1e-6;
    };
    EXPECT_EQ(ReadClip(MediaPath{path.string()}, request).report.frame_count,
              std::ranges::count_if(times, within));
  }
}

}  // namespace
}  // namespace cosmos::test
