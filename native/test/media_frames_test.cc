// Compares frames of generated clips with those of the ffmpeg command, which decodes everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "media/scan/window_plan.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

const std::string kMoving = "-f lavfi -i testsrc2=s=192x144:r=25:d=4 ";

struct Clip {
  std::string file;
  std::string arguments;
  ReferenceOptions reference = {};
};

void PrintTo(const Clip& clip, std::ostream* out) { *out << clip.file; }

class GeneratedClip : public testing::TestWithParam<Clip> {
 protected:
  std::filesystem::path path_ = MakeClip(GetParam().file, GetParam().arguments);
  std::vector<std::string> expected_ = ReferenceHashes(path_, GetParam().reference);

  void ExpectChosenFrames(const DecodedClip& clip) {
    ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected_.size()));
    const auto chosen =
        ChooseFrames(static_cast<int>(expected_.size()), static_cast<int>(clip.frames.size()));
    for (std::size_t i = 0; i < clip.frames.size(); ++i) {
      EXPECT_EQ(clip.frames[i].index, chosen[i]);
      EXPECT_EQ(Hash(clip.images[i]), expected_[chosen[i]]) << "frame " << chosen[i];
    }
    EXPECT_TRUE(clip.report.warnings.empty()) << clip.report.warnings.front();
  }
};

TEST_P(GeneratedClip, HasTheFramesOfDecodingEverything) {
  for (const int frames : {1, 3, 8, 40}) {
    for (const int threads : {1, 3}) {
      SCOPED_TRACE(testing::Message() << frames << " frames, " << threads << " threads");
      ClipRequest request = Frames(frames);
      request.threads = threads;
      ExpectChosenFrames(ReadClip(MediaPath{path_.string()}, request));
    }
  }
}

TEST_P(GeneratedClip, HasTheSameFramesFromMemory) {
  const std::vector<std::uint8_t> bytes = ReadFile(path_);
  ExpectChosenFrames(ReadClip(Borrow(bytes)));
}

TEST_P(GeneratedClip, HasTheSameFramesWithinARange) {
  const DecodedClip all = ReadClip(MediaPath{path_.string()}, Frames(static_cast<int>(expected_.size())));
  for (const auto& [start, end] :
       std::vector<std::pair<double, double>>{{0, 0.5}, {0.52, 1.3}, {1.5, 2.1}, {2.9, 99}}) {
    SCOPED_TRACE(testing::Message() << start << " to " << end);
    ClipRequest request = Frames(5);
    request.start = start;
    request.end = end;
    const DecodedClip part = ReadClip(MediaPath{path_.string()}, request);
    std::vector<std::size_t> in_range;
    for (std::size_t i = 0; i < all.frames.size(); ++i) {
      if (all.frames[i].pts >= start - 1e-6 && all.frames[i].pts < end - 1e-6) in_range.push_back(i);
    }
    ASSERT_EQ(part.report.frame_count, static_cast<std::int64_t>(in_range.size()));
    const auto chosen = ChooseFrames(static_cast<int>(in_range.size()), 5);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(part.frames[i].index, chosen[i]);
      EXPECT_NEAR(part.frames[i].pts, all.frames[in_range[chosen[i]]].pts, 1e-9);
      EXPECT_EQ(Hash(part.images[i]), Hash(all.images[in_range[chosen[i]]]));
    }
  }
}

TEST_P(GeneratedClip, HasTheSameFramesInWindows) {
  ClipRequest request;
  request.shape = {4, 16, 16};
  const auto windows = ReadClips(MediaPath{path_.string()}, request, Windows{.seconds = 1, .stride = 0.5});
  ASSERT_GE(windows.size(), 7U);
  for (const DecodedClip& window : windows) {
    SCOPED_TRACE(testing::Message() << window.start << " to " << window.end);
    ClipRequest range = request;
    range.start = window.start;
    range.end = window.end;
    const DecodedClip alone = ReadClip(MediaPath{path_.string()}, range);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(window.frames[i].index, alone.frames[i].index);
    EXPECT_TRUE(
        std::equal(window.clip->data(), window.clip->data() + request.shape.bytes(), alone.clip->data()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Media, GeneratedClip,
    testing::Values(
        Clip{"h264_pyramid.mp4",
             kMoving + "-c:v libx264 -bf 5 -b_strategy 0 -x264opts b-pyramid=normal -g 250"},
        Clip{"h264_gop12.mp4", kMoving + "-c:v libx264 -bf 2 -g 12 -sc_threshold 0"},
        Clip{"h264_open.mkv", kMoving + "-c:v libx264 -bf 3 -g 10 -sc_threshold 0 -x264opts open-gop=1"},
        Clip{"h264_open.ts", kMoving + "-c:v libx264 -bf 3 -g 10 -sc_threshold 0 -x264opts open-gop=1"},
        Clip{"h264_intra.mp4", kMoving + "-c:v libx264 -g 1"},
        Clip{"h264_refresh.mkv", kMoving + "-c:v libx264 -bf 0 -g 12 -x264opts intra-refresh=1"},
        Clip{"h264_fragments.mp4",
             kMoving + "-c:v libx264 -bf 2 -g 12 -movflags frag_keyframe+empty_moov+default_base_moof"},
        Clip{"h264_sidx.mp4", kMoving + "-c:v libx264 -bf 2 -g 12 -movflags dash+global_sidx+frag_keyframe"},
        Clip{"h264_audio.mp4", "-f lavfi -i sine=d=4 " + kMoving + "-c:v libx264 -bf 2 -g 25 -c:a aac"},
        Clip{"h264.avi", kMoving + "-c:v libx264 -bf 3 -g 12 -f avi"},
        Clip{"h264.flv", kMoving + "-c:v libx264 -bf 3 -g 12"},
        Clip{"h264_raw.h264", kMoving + "-c:v libx264 -bf 3 -g 12"},
        Clip{"hevc_open.mp4", kMoving + "-c:v libx265 -x265-params log-level=none:bframes=4:keyint=12"},
        Clip{"hevc_raw.hevc", kMoving + "-c:v libx265 -x265-params log-level=none:bframes=4:keyint=12"},
        Clip{"hevc_layers.mkv",
             kMoving + "-c:v libx265 -x265-params log-level=none:bframes=3:keyint=24:temporal-layers=1"},
        Clip{"hevc_10bit.mkv",
             kMoving + "-pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none:keyint=20"},
        Clip{"vp8_hidden.webm", kMoving + "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -g 30 -b:v 200k"},
        Clip{"vp9.webm", kMoving + "-c:v libvpx-vp9 -row-mt 0 -lag-in-frames 16 -g 30 -b:v 200k -cpu-used 8"},
        Clip{"vp9.ivf", kMoving + "-c:v libvpx-vp9 -g 30 -b:v 200k -cpu-used 8"},
        Clip{"av1.mkv", kMoving + "-c:v libsvtav1 -preset 12 -g 30"},
        Clip{"av1.obu", kMoving + "-c:v libsvtav1 -preset 12 -g 30"},
        Clip{"mpeg2.ts", kMoving + "-c:v mpeg2video -bf 2 -g 12"},
        Clip{"mpeg2.mpg", kMoving + "-c:v mpeg2video -bf 2 -g 12"},
        Clip{"mpeg1.mpg", kMoving + "-c:v mpeg1video -bf 2 -g 15"},
        Clip{"mpeg4.avi", kMoving + "-c:v mpeg4 -bf 2 -g 20"},
        Clip{"mpeg4.mp4", kMoving + "-c:v mpeg4 -bf 2 -g 20"},
        Clip{"prores.mov", kMoving + "-c:v prores_ks -profile:v 3"},
        Clip{"theora.ogv", kMoving + "-c:v libtheora -g 12"}, Clip{"wmv1.asf", kMoving + "-c:v wmv1 -g 12"},
        Clip{"wmv2.wmv", kMoving + "-c:v wmv2 -g 12"}, Clip{"ffv1.mkv", kMoving + "-c:v ffv1 -level 3 -g 10"},
        Clip{"ffv1_old.avi", kMoving + "-c:v ffv1 -level 1 -g 10"},
        Clip{"raw.avi", kMoving + "-c:v rawvideo -pix_fmt yuv420p"},
        Clip{"raw_rgb.avi", kMoving + "-c:v rawvideo -pix_fmt bgr24", {.yuv = false}},
        Clip{"raw.y4m", kMoving}, Clip{"moving.gif", kMoving, {.yuv = false}},
        Clip{"moving.apng", kMoving + "-f apng", {.yuv = false}},
        Clip{"moving.avif", kMoving + "-c:v libsvtav1 -preset 12"},
        Clip{"dv.avi", "-f lavfi -i testsrc2=s=720x576:r=25:d=4 -c:v dvvideo -pix_fmt yuv420p"},
        Clip{"mjpeg.avi", kMoving + "-c:v mjpeg -pix_fmt yuvj422p", {.range = "pc"}},
        Clip{"odd_444.mkv", "-f lavfi -i testsrc2=s=147x93:r=25:d=4 -c:v libx264 -pix_fmt yuv444p -g 30"},
        Clip{"odd_422.mkv", "-f lavfi -i testsrc2=s=146x93:r=25:d=4 -c:v libx264 -pix_fmt yuv422p10le -g 30"},
        Clip{"full_range_709.mp4",
             kMoving + "-c:v libx264 -pix_fmt yuv420p -colorspace bt709 -color_range pc",
             {.matrix = "bt709", .range = "pc"}},
        Clip{"bt2020.mkv",
             kMoving + "-c:v libx265 -pix_fmt yuv420p10le -colorspace bt2020nc -x265-params log-level=none",
             {.matrix = "bt2020"}},
        Clip{"hd_untagged.mp4",
             "-f lavfi -i testsrc2=s=1280x720:r=10:d=4 -c:v libx264 -preset ultrafast -g 10",
             {.matrix = "bt709"}},
        Clip{
            "variable_rate.mkv",
            kMoving + "-vf \"select='not(mod(n,7))+not(mod(n,3))'\" -fps_mode vfr -c:v libx264 -bf 2 -g 12"}),
    [](const auto& clip) {
      std::string name = clip.param.file;
      std::ranges::replace(name, '.', '_');
      return name;
    });

TEST(MediaFrames, AnEditListHidesFrames) {
  const auto whole = MakeClip("whole.mp4", kMoving + "-c:v libx264 -bf 2 -g 50 -sc_threshold 0");
  const auto cut = MakeClip("cut.mp4", "-ss 1 -i '" + whole.string() + "' -c copy");
  const auto expected = ReferenceHashes(cut);
  const DecodedClip clip = ReadClip(MediaPath{cut.string()});
  ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]);
  EXPECT_EQ(clip.frames[0].pts, 0);
}

// After a seek, FFmpeg reads samples of this file with the sizes of the sound's samples, and then ends it:
// the index of its fragments does not fit its times.
TEST(MediaFrames, AFileInWhichFFmpegCannotSeekIsReadFromItsStart) {
  const auto once = MakeClip(
      "once.mp4", "-f lavfi -i testsrc2=s=144x96:r=25:d=2.4 -c:v libx264 -pix_fmt yuv420p -g 1 -bf 0");
  const auto list = ScratchFolder() / "twice.txt";
  std::ofstream(list) << "ffconcat version 1.0\nfile '" << once.string() << "'\nfile '" << once.string()
                      << "'\n";
  const std::string uneven = "+floor(0.4*sin(PTS*TB*40)/25/TB)";
  const auto file = MakeClip(
      "wrong_sidx.mov", "-f concat -safe 0 -i '" + list.string() +
                            "' -f lavfi -i sine=duration=2.4:sample_rate=48000 -map 0:v -map 1:a "
                            "-c:v copy -c:a aac -bsf:v \"setts=pts=PTS" +
                            uneven + ":dts=PTS" + uneven + "\" -movflags dash+frag_keyframe+global_sidx");
  const auto expected = ReferenceHashes(file);
  constexpr std::int64_t kPeriod = 60;
  ASSERT_EQ(expected.size(), 2 * kPeriod);
  for (double start = 0; start < 4; start += 0.37) {
    SCOPED_TRACE(start);
    ClipRequest request = Frames(8);
    request.start = start;
    request.end = start + 0.6;
    const DecodedClip clip = ReadClip(MediaPath{file.string()}, request);
    EXPECT_TRUE(clip.report.warnings.empty());
    std::int64_t first = -1;  // index of the range's first frame
    for (std::size_t i = 0; i < clip.frames.size(); ++i) {
      const auto at = std::ranges::find(expected, Hash(clip.images[i])) - expected.begin();
      if (first < 0) first = at;
      EXPECT_EQ(at, (first + clip.frames[i].index) % kPeriod);
    }
  }
}

// By default libavcodec keeps up to 31 left-cropped columns for alignment.
TEST(MediaFrames, ACropIsExactOnEverySide) {
  const struct {
    std::string format;
    int left, top, right, bottom;
  } crops[] = {{"yuv420p", 6, 2, 4, 8}, {"yuv420p", 34, 0, 0, 2}, {"yuv444p", 5, 3, 2, 1}};
  for (const auto& crop : crops) {
    SCOPED_TRACE(crop.format + " " + std::to_string(crop.left));
    const auto whole =
        MakeClip("crop_" + crop.format + ".mp4",
                 "-f lavfi -i testsrc2=s=160x96:r=25:d=1 -c:v libx264 -pix_fmt " + crop.format);
    const auto cut = MakeClip(
        "crop_" + crop.format + std::to_string(crop.left) + ".mp4",
        "-i '" + whole.string() + "' -c copy -bsf:v h264_metadata=crop_left=" + std::to_string(crop.left) +
            ":crop_top=" + std::to_string(crop.top) + ":crop_right=" + std::to_string(crop.right) +
            ":crop_bottom=" + std::to_string(crop.bottom));
    const DecodedClip expected = ReadClip(MediaPath{whole.string()});
    const DecodedClip clip = ReadClip(MediaPath{cut.string()});
    for (std::size_t i = 0; i < clip.images.size(); ++i) {
      const RgbImage& image = clip.images[i];
      ASSERT_EQ(image.width, 160 - crop.left - crop.right);
      ASSERT_EQ(image.height, 96 - crop.top - crop.bottom);
      // Chroma has other neighbours at the edges of the crop.
      for (int y = 1; y + 1 < image.height; ++y) {
        const auto* line = &image.data[std::size_t{3} * image.width * y];
        const auto* same = &expected.images[i].data[3 * (std::size_t{160} * (y + crop.top) + crop.left)];
        ASSERT_TRUE(std::equal(line + 3, line + std::size_t{3} * (image.width - 1), same + 3)) << y;
      }
    }
  }
}

TEST(MediaFrames, RotationIsAppliedOnce) {
  const auto upright = MakeClip("upright.mp4", kMoving + "-c:v libx264");
  const std::map<int, std::string> filters = {
      {0, ""}, {90, ",transpose=clock"}, {180, ",hflip,vflip"}, {270, ",transpose=cclock"}};
  std::set<int> seen;
  for (const int tag : {0, 90, 180, 270}) {
    SCOPED_TRACE(tag);
    const auto turned =
        MakeClip("turned" + std::to_string(tag) + ".mp4",
                 "-i '" + upright.string() + "' -c copy -metadata:s:v rotate=" + std::to_string(tag));
    // ffprobe reports rotation in the opposite direction.
    const auto counted = RunShell("ffprobe -v error -show_entries stream_side_data=rotation -of csv=p=0 '" +
                                  turned.string() + "'");
    const int clockwise = (360 - std::atoi(counted->c_str())) % 360;
    seen.insert(clockwise);
    const auto expected = ReferenceHashes(turned, {.filter = filters.at(clockwise)});
    const DecodedClip clip = ReadClip(MediaPath{turned.string()});
    EXPECT_EQ(clip.report.rotation, clockwise);
    EXPECT_EQ(clip.report.width, clockwise % 180 == 0 ? 192 : 144);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]);
  }
  EXPECT_EQ(seen.size(), 4U);
}

TEST(MediaFrames, TheBestStreamIsNotTheFirst) {
  const auto path =
      MakeClip("two_streams.mp4",
               "-f lavfi -i testsrc2=s=96x64:d=2 -f lavfi -i testsrc2=s=320x240:d=2 -map 0 -map 1 "
               "-c:v libx264 -b:v:0 50k -b:v:1 800k -disposition:v:0 0 -disposition:v:1 default");
  EXPECT_EQ(ReadClip(MediaPath{path.string()}).report.width, 320);
}

TEST(MediaFrames, SkippingAndSeekingSaveWork) {
  const auto path =
      MakeClip("noise.mp4",
               "-f lavfi -i testsrc2=s=320x240:r=25:d=8,noise=alls=20:allf=t -c:v libx264 -bf 2 "
               "-b_strategy 0 -g 40 -sc_threshold 0");
  const DecodeReport report = ReadClip(MediaPath{path.string()}, Frames(4)).report;
  EXPECT_EQ(report.frame_count, 200);
  EXPECT_GT(report.seeks, 1);
  EXPECT_GT(report.discarded, 0);
  EXPECT_LT(report.decoded, 80);
  EXPECT_LT(report.bytes_read, static_cast<std::int64_t>(std::filesystem::file_size(path)) * 2 / 3);
}

// Their index is in no container and takes reading all of the file. Then its positions are known.
TEST(MediaFrames, RawStreamsAreNotReadTwice) {
  const std::string noise = "-f lavfi -i testsrc2=s=320x240:r=25:d=8,noise=alls=20:allf=t -pix_fmt yuv420p ";
  for (const auto& [file, encoder] :
       {std::pair{"noise.h264", "-c:v libx264 -bf 2 -b_strategy 0 -g 40 -sc_threshold 0"},
        std::pair{"noise.hevc",
                  "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=2:keyint=40"}}) {
    SCOPED_TRACE(file);
    const auto path = MakeClip(file, noise + encoder);
    const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(4));
    EXPECT_EQ(clip.report.frame_count, 200);
    EXPECT_EQ(clip.report.damaged, 0);
    EXPECT_GT(clip.report.seeks, 1);
    EXPECT_LT(clip.report.decoded + clip.report.discarded, 110);
    EXPECT_LT(clip.report.bytes_read, static_cast<std::int64_t>(std::filesystem::file_size(path)) * 11 / 4);
    const auto expected = ReferenceHashes(path);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]);
  }
}

TEST(MediaFrames, ReadingARangeReadsLittleMore) {
  for (const std::string file : {"noise.mp4", "noise.mkv"}) {
    SCOPED_TRACE(file);
    const auto path =
        MakeClip(file,
                 "-f lavfi -i testsrc2=s=320x240:r=25:d=8,noise=alls=20:allf=t -c:v libx264 -bf 2 "
                 "-b_strategy 0 -g 40 -sc_threshold 0");
    ClipRequest request = Frames(4);
    request.start = 5;
    request.end = 5.5;
    const DecodeReport report = ReadClip(MediaPath{path.string()}, request).report;
    EXPECT_EQ(report.frame_count, 12 + 1);  // 5.00 to 5.48 in steps of 0.04
    EXPECT_LT(report.bytes_read, static_cast<std::int64_t>(std::filesystem::file_size(path)) * 3 / 4);
  }
}

// A recording that was cut out of a longer one refers at its beginning to pictures that were cut off.
TEST(MediaFrames, ACutRecordingBeginsWithItsFirstCompletePicture) {
  for (const auto& [file, codec] :
       {std::pair{"tail_h264.ts", "libx264 -bf 3 -g 10 -sc_threshold 0 -x264opts open-gop=1"},
        std::pair{"tail_mpeg2.ts", "mpeg2video -bf 2 -g 12"}}) {
    SCOPED_TRACE(file);
    const auto whole = MakeClip(std::string("whole_") + file, kMoving + "-c:v " + codec);
    constexpr std::size_t kTsPacket = 188;
    const std::vector<std::uint8_t> bytes = ReadFile(whole);
    const std::size_t half = bytes.size() / 2 / kTsPacket * kTsPacket;
    const std::vector<std::uint8_t> tail(bytes.begin() + static_cast<std::ptrdiff_t>(half), bytes.end());
    const DecodedClip clip = ReadClip(Borrow(tail));
    EXPECT_TRUE(clip.frames[0].keyframe);
    EXPECT_EQ(clip.frames[0].index, 0);
    EXPECT_TRUE(clip.report.warnings.empty());
    const auto expected = ReferenceHashes(whole);
    EXPECT_EQ(Hash(clip.images.back()), expected.back());
    EXPECT_EQ(Hash(clip.images[0]), expected[expected.size() - clip.report.frame_count]);
  }
}

TEST(MediaFrames, ToleranceTakesKeyframes) {
  const auto path = MakeClip("h264_gop12.mp4", kMoving + "-c:v libx264 -bf 2 -g 12 -sc_threshold 0");
  ClipRequest request = Frames(4);
  request.frame_tolerance = 0.5;
  const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
  for (const FrameInfo& frame : clip.frames) EXPECT_TRUE(frame.keyframe) << frame.index;
  EXPECT_EQ(clip.report.decoded, 4);
}

// Found by the fuzz target "clip": frames of a window came from the window before it.
TEST(MediaFrames, ToleranceStaysWithinTheRangeAndTheWindow) {
  const auto path = MakeClip("h264_gop12.mp4", kMoving + "-c:v libx264 -bf 2 -g 12 -sc_threshold 0");
  ClipRequest request = Frames(4);
  request.frame_tolerance = 0.5;
  request.start = 0.6;
  request.end = 0.9;
  const auto check = [&](const DecodedClip& clip) {
    for (const FrameInfo& frame : clip.frames) {
      EXPECT_GE(frame.index, 0);
      EXPECT_LT(frame.index, clip.report.frame_count);
      EXPECT_GE(frame.pts, clip.start - 1e-6);
      EXPECT_LT(frame.pts, clip.end);
    }
  };
  check(ReadClip(MediaPath{path.string()}, request));
  request.end = 3;
  const auto windows = ReadClips(MediaPath{path.string()}, request, Windows{.seconds = 0.4, .stride = 0.3});
  EXPECT_EQ(windows.size(), 8U);
  for (const DecodedClip& clip : windows) check(clip);
}

TEST(MediaFrames, AShortLastWindowIsDroppedUnlessItIsTheOnlyOne) {
  const auto path = MakeClip("h264_gop12.mp4", kMoving + "-c:v libx264 -bf 2 -g 12 -sc_threshold 0");
  const ClipRequest request = Frames(2);
  EXPECT_EQ(ReadClips(MediaPath{path.string()}, request, Windows{.seconds = 2.7, .stride = 2.7}).size(), 1U);
  EXPECT_EQ(ReadClips(MediaPath{path.string()}, request, Windows{.seconds = 2.5, .stride = 2.5}).size(), 2U);
  const auto only = ReadClips(MediaPath{path.string()}, request, Windows{.seconds = 60, .stride = 60});
  ASSERT_EQ(only.size(), 1U);
  EXPECT_NEAR(only[0].end, 4.0, 1e-6);
  EXPECT_EQ(only[0].report.frame_count, 100);
}

TEST(MediaFrames, EachFrameOfOverlappingWindowsIsDecodedOnce) {
  const auto path = MakeClip("h264_pyramid.mp4",
                             kMoving + "-c:v libx264 -bf 5 -b_strategy 0 -x264opts b-pyramid=normal -g 250");
  const ClipRequest request = Frames(8);
  std::int64_t decoded = 0;
  for (const auto& clip :
       ReadClips(MediaPath{path.string()}, request, Windows{.seconds = 2, .stride = 0.25})) {
    decoded += clip.report.decoded;
  }
  EXPECT_LE(decoded, 100);
}

}  // namespace
}  // namespace cosmos::test
