// Shots and cuts of generated videos: where they are, and that each has the clip of its range.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/cancel.h"
#include "media/shots/thumbnail.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

// Three shots, of 1.2, 2 and 0.8 seconds.
std::string Film(const std::string& filter = "") {
  return "-f lavfi -i testsrc2=s=192x144:r=25:d=1.2 -f lavfi -i mandelbrot=s=192x144:r=25 -f lavfi -i "
         "color=c=navy:s=192x144:r=25:d=0.8 -filter_complex '[1]trim=end_frame=50[b];[0][b][2]concat=n=3" +
         filter + ",format=yuv420p[v]' -map '[v]' ";
}

struct Clip {
  std::string file;
  std::string arguments;
};

void PrintTo(const Clip& clip, std::ostream* out) { *out << clip.file; }

bool IsSameClip(const DecodedClip& a, const DecodedClip& b) {
  const std::size_t bytes = a.clip->shape().bytes();
  return std::equal(a.clip->data(), a.clip->data() + bytes, b.clip->data(), b.clip->data() + bytes);
}

class FilmOfThreeShots : public testing::TestWithParam<Clip> {
 protected:
  MediaPath source_{MakeClip(GetParam().file, GetParam().arguments).string()};

  // Checks every clip against the one that a request for its range gives.
  void ExpectClipsOfRanges(const std::vector<DecodedClip>& clips, ClipRequest request) {
    for (const DecodedClip& clip : clips) {
      SCOPED_TRACE(testing::Message() << clip.start << " to " << clip.end);
      request.start = clip.start;
      request.end = clip.end;
      const auto alone = ReadClips(source_, request);
      ASSERT_EQ(alone.size(), 1U);
      EXPECT_TRUE(IsSameClip(clip, alone.front()));
      EXPECT_EQ(clip.report.frame_count, alone.front().report.frame_count);
      EXPECT_EQ(clip.report.width, alone.front().report.width);
      EXPECT_EQ(clip.report.pixel_format, alone.front().report.pixel_format);
      for (std::size_t i = 0; i < clip.frames.size(); ++i) {
        EXPECT_EQ(clip.frames[i].index, alone.front().frames[i].index);
        EXPECT_EQ(clip.frames[i].pts, alone.front().frames[i].pts);
        EXPECT_EQ(clip.frames[i].keyframe, alone.front().frames[i].keyframe);
      }
    }
  }
};

TEST_P(FilmOfThreeShots, HasThemWithTheClipsOfTheirRanges) {
  ClipRequest request;
  request.shape = {5, 16, 16};
  const auto whole = ReadClips(source_, request);
  for (const int threads : {1, 3}) {
    // Almost no memory for pictures: each is decoded again.
    for (const std::int64_t max_bytes : {DecodeLimits().max_bytes, std::int64_t{3} << 20}) {
      for (const double tolerance : {0.0, 0.3}) {
        SCOPED_TRACE(testing::Message() << threads << " threads, " << max_bytes << " bytes, " << tolerance);
        request.threads = threads;
        request.limits.max_bytes = max_bytes;
        request.frame_tolerance = tolerance;
        const auto shots = ReadClips(source_, request, Windows{.shots = ShotOptions()});
        ASSERT_EQ(shots.size(), 3U);
        EXPECT_EQ(shots[0].start, 0);
        EXPECT_NEAR(shots[1].start, 1.2, 0.03);
        EXPECT_NEAR(shots[2].start, 3.2, 0.03);
        EXPECT_EQ(shots[0].end, shots[1].start);
        EXPECT_EQ(shots[1].end, shots[2].start);
        EXPECT_EQ(shots[2].end, whole.front().end);
        ExpectClipsOfRanges(shots, request);
      }
    }
  }
}

TEST_P(FilmOfThreeShots, HasThemWithinARange) {
  ClipRequest request;
  request.shape = {3, 16, 16};
  request.start = 0.4;
  request.end = 2.6;
  const auto shots = ReadClips(source_, request, Windows{.shots = ShotOptions()});
  ASSERT_EQ(shots.size(), 2U);
  EXPECT_EQ(shots[0].start, 0.4);
  EXPECT_NEAR(shots[1].start, 1.2, 0.03);
  EXPECT_EQ(shots[1].end, 2.6);
  ExpectClipsOfRanges(shots, request);
}

TEST_P(FilmOfThreeShots, IsCutWhereTheCallerSays) {
  ClipRequest request;
  request.shape = {4, 16, 16};
  request.start = 0.5;
  const auto clips =
      ReadClips(source_, request, Windows{.cuts = std::vector{0.1, 0.5, 0.93, 1.2, 3.1, 77.0}});
  ASSERT_EQ(clips.size(), 4U);
  EXPECT_EQ(clips[0].start, 0.5);
  EXPECT_EQ(clips[1].start, 0.93);
  EXPECT_EQ(clips[2].start, 1.2);
  EXPECT_EQ(clips[3].start, 3.1);
  EXPECT_EQ(clips[2].end, 3.1);
  ExpectClipsOfRanges(clips, request);
}

INSTANTIATE_TEST_SUITE_P(
    Media, FilmOfThreeShots,
    testing::Values(
        Clip{"film.mp4", Film() + "-c:v libx264 -bf 5 -b_strategy 0 -x264opts b-pyramid=normal -g 250"},
        Clip{"film_fixed.mkv", Film() + "-c:v libx264 -bf 3 -g 18 -sc_threshold 0 -x264opts open-gop=1"},
        Clip{"film.ts", Film() + "-c:v mpeg2video -q:v 4 -bf 2 -g 12"},
        Clip{"film_vfr.mkv", Film(",setpts=N/25/TB+0.3*mod(N\\,3)/25/TB") +
                                 "-vsync vfr -enc_time_base 1:1000 "
                                 "-c:v libx265 -x265-params log-level=none:bframes=3:keyint=30"},
        Clip{"film.webm", Film() + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 40"},
        Clip{"film.avi", Film() + "-c:v mpeg4 -bf 2 -g 20 -q:v 4"},
        Clip{"film.h264", Film() + "-c:v libx264 -bf 2 -g 30"},
        Clip{"film_rotated.mov", Film() + "-c:v libx264 -g 30 -metadata:s:v rotate=90"}));

TEST(Shots, EachPictureIsDecodedOnceIfItIsKept) {
  const MediaPath source{MakeClip("film.mp4", Film() + "-c:v libx264 -bf 5 -b_strategy 0 -x264opts "
                                                       "b-pyramid=normal -g 250")
                             .string()};
  ClipRequest request;
  request.shape = {5, 16, 16};
  const auto decoded = [&] {
    std::int64_t sum = 0;
    for (const DecodedClip& clip : ReadClips(source, request, Windows{.shots = ShotOptions()})) {
      sum += clip.report.decoded;
    }
    return sum;
  };
  EXPECT_EQ(decoded(), 100);
  request.limits.max_bytes = std::int64_t{3} << 20;
  EXPECT_GT(decoded(), 100);
}

TEST(Shots, ARangeWithinOneFrameIsOneShot) {
  const MediaPath source{MakeClip("slow.mp4", "-f lavfi -i testsrc2=s=64x48:r=1:d=4 -c:v libx264").string()};
  ClipRequest request;
  request.shape = {2, 8, 8};
  request.start = 1.3;
  request.end = 1.6;
  const auto shots = ReadClips(source, request, Windows{.shots = ShotOptions()});
  ASSERT_EQ(shots.size(), 1U);
  EXPECT_TRUE(IsSameClip(shots.front(), ReadClips(source, request).front()));
}

TEST(Shots, InDamageAreStillTheWholeRange) {
  const auto whole = MakeClip("film.ts", Film() + "-c:v mpeg2video -q:v 4 -bf 2 -g 12");
  std::vector<std::uint8_t> bytes = ReadFile(whole);
  for (std::size_t i = bytes.size() / 4; i < bytes.size() / 2; i += 997) bytes[i] ^= 0x5a;
  ClipRequest request;
  request.shape = {3, 16, 16};
  const auto shots = ReadClips(Borrow(bytes), request, Windows{.shots = ShotOptions()});
  ASSERT_FALSE(shots.empty());
  double end = 0;
  int damaged = 0;
  for (const DecodedClip& shot : shots) {
    EXPECT_EQ(shot.start, end);
    end = shot.end;
    damaged += shot.report.damaged;
  }
  EXPECT_NEAR(end, 4, 0.2);
  EXPECT_GT(damaged, 0);
}

TEST(Shots, AreCancelledWhileTheyAreSearched) {
  const MediaPath source{MakeClip("film.avi", Film() + "-c:v mpeg4 -bf 2 -g 20 -q:v 4").string()};
  const auto cancel = std::make_shared<CancelToken>();
  auto reader = ClipReader::Open(source, Frames(2), Windows{.shots = ShotOptions()}, cancel);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  ASSERT_TRUE(reader.value()->Next(cancel).ok());
  cancel->Cancel();
  for (int again = 0; again < 2; ++again) {
    auto clip = reader.value()->Next(cancel);
    ASSERT_FALSE(clip.ok());
    EXPECT_EQ(clip.status().code(), StatusCode::kCancelled);
  }
}

TEST(Shots, ObeyTheLimits) {
  const MediaPath source{MakeClip("film.avi", Film() + "-c:v mpeg4 -bf 2 -g 20 -q:v 4").string()};
  ClipRequest request = Frames(2);
  request.limits.max_pixels = 192 * 144 - 1;
  auto reader = ClipReader::Open(source, request, Windows{.shots = ShotOptions()}, nullptr);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.status().code(), StatusCode::kLimit);

  request = Frames(2);
  request.limits.max_wall_seconds = 1e-9;
  reader = ClipReader::Open(source, request, Windows{.shots = ShotOptions()}, nullptr);
  EXPECT_TRUE(!reader.ok() && reader.status().code() == StatusCode::kTimeout);
}

TEST(Shots, WrongOptionsAreInvalid) {
  const MediaPath source{MakeClip("film.avi", Film() + "-c:v mpeg4 -bf 2 -g 20 -q:v 4").string()};
  for (const Windows& windows :
       {Windows{.shots = ShotOptions{.threshold = 0}}, Windows{.shots = ShotOptions{.min_seconds = -1}},
        Windows{.cuts = std::vector{1.0, 1.0}}, Windows{.cuts = std::vector{2.0, 1.0}},
        Windows{.cuts = std::vector{-0.5}}}) {
    const auto reader = ClipReader::Open(source, Frames(2), windows, nullptr);
    ASSERT_FALSE(reader.ok());
    EXPECT_EQ(reader.status().code(), StatusCode::kInvalidArgument);
  }
}

// Also of formats that are converted first, and of pictures smaller than the thumbnail.
TEST(Thumbnail, OfOneColourIsEvenInEveryFormat) {
  for (const char* format : {"yuv420p", "yuv422p", "yuv444p10le", "nv12", "gray", "rgb24", "bgr0", "gbrp",
                             "gbrp10le", "pal8", "yuyv422", "p010le", "yuv420p12be", "monow", "rgb565le"}) {
    SCOPED_TRACE(format);
    const ff::Frame frame(av_frame_alloc());
    frame->format = av_get_pix_fmt(format);
    frame->width = 33;  // fewer than the thumbnail has columns
    frame->height = 21;
    ASSERT_EQ(av_frame_get_buffer(frame.get(), 0), 0);
    for (int plane = 0; plane < 4 && frame->data[plane]; ++plane) {
      const AVBufferRef* buffer = av_frame_get_plane_buffer(frame.get(), plane);
      std::fill(buffer->data, buffer->data + buffer->size, 0);
    }
    const auto black = ThumbnailMaker().Make(*frame);
    ASSERT_TRUE(black.ok());
    const Thumbnail& cells = black.value();
    for (const float luma : cells.luma) EXPECT_EQ(luma, cells.luma.front());
    EXPECT_GE(cells.luma.front(), 0);
    EXPECT_LE(cells.luma.front(), 255);
    EXPECT_EQ(Difference(cells, cells), 0);
  }
}

}  // namespace
}  // namespace cosmos::test
