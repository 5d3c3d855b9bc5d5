// Generated clips through NVDEC's double: codecs, GOPs, windows, ranges, and which pictures are decoded.
#include <gtest/gtest.h>

#include <algorithm>

#include "isolation/gpu_messages.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

const std::string kSource = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=4 -pix_fmt yuv420p ";

class NvdecClips : public testing::Test {
 protected:
  void SetUp() override {
    fake_.Reset();
    gpu_ = fake_.Open();
    ASSERT_TRUE(gpu_);
  }
  void TearDown() override {
    gpu_.reset();
    fake_.ExpectNothingLeft();
  }

  // Reads the clips on the CPU and the GPU, expects them to be equal, and returns those of the GPU.
  std::vector<DecodedClip> Check(const std::filesystem::path& path, ClipRequest request = {},
                                 std::optional<Windows> windows = {}) {
    request.gpu = nullptr;
    const auto cpu = ReadClips(MediaPath{path.string()}, request, windows);
    request.gpu = gpu_;
    auto clips = ReadClips(MediaPath{path.string()}, request, windows);
    EXPECT_EQ(clips.size(), cpu.size());
    for (std::size_t i = 0; i < std::min(clips.size(), cpu.size()); ++i) {
      SCOPED_TRACE(testing::Message() << path.filename() << " clip " << i);
      ExpectSameClip(clips[i], cpu[i]);
      // The sum, because libavcodec decodes some HEVC pictures that no other refers to.
      EXPECT_EQ(clips[i].report.decoded + clips[i].report.discarded,
                cpu[i].report.decoded + cpu[i].report.discarded);
    }
    ExpectSameHandedOver(MediaPath{path.string()}, request, windows, clips);
    return clips;
  }
  void ExpectAllByNvdec(const std::vector<DecodedClip>& clips) {
    for (const DecodedClip& clip : clips) {
      EXPECT_EQ(clip.report.decoder, "nvdec");
      EXPECT_EQ(clip.report.decoder_reason, "");
      ASSERT_TRUE(clip.clip->device_pixels());
      EXPECT_EQ(clip.clip->device_pixels()->device(), 0);
    }
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
  std::shared_ptr<Gpu> gpu_;
};

struct Encoding {
  std::string name;
  std::string arguments;
  std::string decoder = "nvdec";
};

TEST_F(NvdecClips, EveryCodecAndGopGivesTheClipOfTheCpu) {
  const std::vector<Encoding> encodings = {
      {"gop250.mp4", "-c:v libx264 -preset veryfast -bf 3 -g 250"},
      {"gop12.mp4", "-c:v libx264 -preset veryfast -bf 3 -g 12"},
      {"no-b.mp4", "-c:v libx264 -preset veryfast -bf 0 -g 30"},
      {"pyramid.mkv", "-c:v libx264 -preset medium -bf 8 -b_strategy 2 -x264opts b-pyramid=normal -g 60"},
      {"opengop.mp4", "-c:v libx264 -preset veryfast -x264opts open-gop=1:keyint=20:min-keyint=20:bframes=3"},
      {"intra-refresh.mp4", "-c:v libx264 -preset veryfast -x264opts intra-refresh=1:keyint=25 -bf 0"},
      {"interlaced.mp4", "-c:v libx264 -preset veryfast -flags +ilme+ildct -x264opts tff=1 -g 25"},
      {"annexb.ts", "-c:v libx264 -preset veryfast -bf 2 -g 25"},
      {"raw.h264", "-c:v libx264 -preset veryfast -bf 2 -g 25"},
      {"hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30:bframes=3"},
      {"hevc-open.mkv",
       "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=20:bframes=3:open-gop=1"},
      {"hevc10.mp4",
       "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30"},
      {"hevc444.mp4",
       "-pix_fmt yuv444p -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30"},
      {"vp8.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 1 -g 40"},
      {"vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 10 -g 40"},
      {"mpeg2.mpg", "-c:v mpeg2video -bf 2 -g 15", "software"},
      {"mpeg1.mpg", "-c:v mpeg1video -bf 2 -g 15", "software"},
      {"mpeg4.mp4", "-c:v mpeg4 -bf 2 -g 25", "software"},
      {"mpeg4.avi", "-c:v mpeg4 -bf 2 -g 25", "software"},
      {"mjpeg.avi", "-c:v mjpeg", "software"},
      {"h264-444.mp4", "-pix_fmt yuv444p -c:v libx264 -preset veryfast", "software"},
  };
  for (const Encoding& encoding : encodings) {
    SCOPED_TRACE(encoding.name);
    for (const int frames : {3, 8}) {
      ClipRequest request;
      request.shape = {.frames = frames, .height = 96, .width = 96};
      const auto clips = Check(MakeClip(encoding.name, kSource + encoding.arguments), request);
      ASSERT_EQ(clips.size(), 1U);
      EXPECT_EQ(clips[0].report.decoder, encoding.decoder) << clips[0].report.decoder_reason;
      EXPECT_EQ(clips[0].report.decoder_reason.empty(), encoding.decoder == "nvdec")
          << clips[0].report.decoder_reason;
    }
  }
}

// NVIDIA's parser does not report the colours of VP9. Every keyframe has them, the container not always.
TEST_F(NvdecClips, ColoursOfVp9AreThoseOfItsKeyframes) {
  const std::string vp9 =
      "-f lavfi -i testsrc2=size=160x144:rate=25:duration=1 -pix_fmt yuv420p -c:v libvpx-vp9 "
      "-deadline realtime -cpu-used 8 -g 10 ";
  for (const std::string tags :
       {"-colorspace bt709", "-colorspace smpte170m", "-colorspace bt470bg", "-colorspace smpte240m",
        "-colorspace bt2020nc", "-colorspace bt709 -color_range pc", "-color_range pc", "-color_range tv"}) {
    SCOPED_TRACE(tags);
    std::string name = "vp9 " + tags;
    std::ranges::replace(name, ' ', '-');
    ExpectAllByNvdec(Check(MakeClip(name + ".webm", vp9 + tags)));
    // IVF does not store colours.
    ExpectAllByNvdec(Check(MakeClip(name + ".ivf", vp9 + tags)));
  }
}

TEST_F(NvdecClips, RangesWindowsAndTolerance) {
  const auto path = MakeClip("gop25.mp4", kSource + "-c:v libx264 -preset veryfast -bf 2 -g 25");
  ClipRequest request;
  request.shape = {.frames = 4, .height = 64, .width = 80};
  request.start = 0.9;
  request.end = 2.1;
  ExpectAllByNvdec(Check(path, request));
  request.frame_tolerance = 0.3;
  ExpectAllByNvdec(Check(path, request));
  request = {};
  request.shape = {.frames = 5, .height = 64, .width = 64};
  // Windows that share frames, and windows with gaps between them.
  ExpectAllByNvdec(Check(path, request, Windows{.seconds = 2, .stride = 0.5}));
  ExpectAllByNvdec(Check(path, request, Windows{.seconds = 0.5, .stride = 1.1}));
  // Each shot has a decoder of its own.
  const MediaSource source = MediaPath{path.string()};
  request.gpu = gpu_;
  for (const Windows& windows : {Windows{.cuts = std::vector{0.5, 1.7}},
                                 Windows{.shots = ShotOptions{.threshold = 1, .min_seconds = 0.1}}}) {
    ExpectSameHandedOver(source, request, windows, ReadClips(source, request, windows));
  }
}

TEST_F(NvdecClips, PacketsTooLargeForAMessage) {
  const auto path = MakeClip("large-packets.mp4",
                             "-f lavfi -i 'nullsrc=size=640x480:rate=5:duration=1,geq=random(1)*255:128:128' "
                             "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -qp 1 -g 1");
  ASSERT_GT(std::filesystem::file_size(path) / 5, kInlinePacketBytes);
  ExpectAllByNvdec(Check(path));
}

TEST_F(NvdecClips, OddSizesCropsAndRotation) {
  for (const std::string size : {"321x241", "322x242", "333x181"}) {
    SCOPED_TRACE(size);
    const std::string source = "-f lavfi -i testsrc2=size=" + size + ":rate=10:duration=1 ";
    ExpectAllByNvdec(Check(MakeClip("odd-" + size + ".webm", source + "-pix_fmt yuv420p -c:v libvpx-vp9 "
                                                                      "-deadline realtime -cpu-used 8")));
    if (size == "322x242") {
      ExpectAllByNvdec(Check(MakeClip("even.mp4", source + "-pix_fmt yuv420p -c:v libx264")));
    }
  }
  // The crop begins inside the picture. A left crop is decoded by the CPU.
  const auto left =
      Check(MakeClip("cropped-left.mp4", kSource + "-c:v libx264 -bsf:v h264_metadata=crop_left=6"));
  EXPECT_EQ(left.at(0).report.decoder_reason, "the pictures are cropped on the left");
  ExpectAllByNvdec(Check(MakeClip("cropped.mp4", kSource + "-c:v libx264 -bsf:v h264_metadata=crop_top="
                                                           "10:crop_right=20:crop_bottom=4")));
  for (const int degrees : {90, 180, 270}) {
    const std::string name = "turned" + std::to_string(degrees) + ".mp4";
    const auto upright = MakeClip("gop25.mp4", kSource + "-c:v libx264 -preset veryfast -bf 2 -g 25");
    const auto clips = Check(MakeClip(
        name, "-i " + upright.string() + " -c copy -metadata:s:v:0 rotate=" + std::to_string(degrees)));
    ExpectAllByNvdec(clips);
    EXPECT_EQ(clips.at(0).report.rotation, 360 - degrees);
  }
}

// The stream does not state its crop, but the container does.
TEST_F(NvdecClips, PicturesWhoseSizeDiffersFromTheContainersGoToTheCpu) {
  const auto cropped = MakeClip("crop180.mp4",
                                "-f lavfi -i testsrc2=size=320x180:rate=10:duration=1 "
                                "-pix_fmt yuv420p -c:v libx264");
  const auto clips = Check(MakeClip(
      "container-crops.mp4", "-i " + cropped.string() + " -c copy -bsf:v h264_metadata=crop_bottom=0"));
  EXPECT_EQ(clips.at(0).report.height, 180);
  EXPECT_EQ(clips[0].report.decoder_reason, "the pictures are 320 x 192, the file says 320 x 180");
}

TEST_F(NvdecClips, ColoursThatChangeInMidStreamMatchTheCpu) {
  const auto half = [](const std::string& matrix) {
    return MakeClip(matrix + ".h264",
                    "-f lavfi -i testsrc2=size=320x240:rate=10:duration=1 -pix_fmt yuv420p "
                    "-c:v libx264 -bf 0 -x264opts keyint=4:min-keyint=4:colormatrix=" +
                        matrix);
  };
  const auto path = MakeClip("two-matrices.mkv", "-i 'concat:" + half("bt709").string() + "|" +
                                                     half("smpte170m").string() + "' -c copy");
  ClipRequest request;
  request.shape = {.frames = 4, .height = 64, .width = 64};
  // Before the change, across it, and after it.
  const Windows windows{.seconds = 0.4, .stride = 0.8};
  const auto cpu = ReadClips(MediaPath{path.string()}, request, windows);
  request.gpu = gpu_;
  const auto clips = ReadClips(MediaPath{path.string()}, request, windows);
  ASSERT_EQ(cpu.size(), 3U);
  ASSERT_EQ(clips.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    ExpectSameClip(clips[i], cpu[i]);
    EXPECT_TRUE(clips[i].clip->device_pixels());
  }
  EXPECT_NE(clips[1].report.decoder_reason.find("changes"), std::string::npos);
  EXPECT_EQ(clips[2].report.decoder_reason, "");
}

// Leading pictures that cannot be decoded do not count as damage to those that can.
TEST_F(NvdecClips, PicturesAfterTheKeyframeOfAnOpenGopAreComplete) {
  const auto path = MakeClip("hevc-leading.mkv", kSource +
                                                     "-c:v libx265 -preset ultrafast -x265-params "
                                                     "log-level=none:keyint=20:min-keyint=20:scenecut=0:"
                                                     "bframes=3:b-adapt=0:b-pyramid=1:open-gop=1");
  ClipRequest request;
  request.shape = {.frames = 6, .height = 64, .width = 64};
  request.start = 1.7;
  request.end = 2.2;
  ExpectAllByNvdec(Check(path, request));
}

TEST_F(NvdecClips, OnlyWantedPicturesAreMappedAndUnwantedNonReferencesAreNotDecoded) {
  // One GOP in which every other picture is a B picture that no other refers to.
  const auto path = MakeClip("skip.mp4", kSource + "-c:v libx264 -bf 1 -b_strategy 0 -sc_threshold 0 -g 500");
  ClipRequest request;
  request.shape = {.frames = 3, .height = 32, .width = 32};
  fake_.Reset();
  request.gpu = gpu_;
  const auto clips = ReadClips(MediaPath{path.string()}, request);
  ASSERT_EQ(clips.size(), 1U);
  ExpectAllByNvdec(clips);
  const auto counts = fake_.counts();
  EXPECT_EQ(counts.maps, 3);
  const DecodeReport& report = clips[0].report;
  EXPECT_GT(report.discarded, 40);
  EXPECT_EQ(counts.decoded, report.decoded);
  EXPECT_EQ(report.decoded + report.discarded, 100);
}

TEST_F(NvdecClips, DetectsALaggingParserAndSkipsNothing) {
  const ScopedVariable late("COSMOS_FAKE_NVDEC_LATE_PARSER", "1");
  const auto path = MakeClip("skip.mp4", kSource + "-c:v libx264 -bf 1 -b_strategy 0 -sc_threshold 0 -g 500");
  ClipRequest request;
  request.shape = {.frames = 3, .height = 32, .width = 32};
  const auto cpu = ReadClips(MediaPath{path.string()}, request);
  request.gpu = gpu_;
  const auto clips = ReadClips(MediaPath{path.string()}, request);
  ExpectAllByNvdec(clips);
  ExpectSameClip(clips.at(0), cpu.at(0));
  EXPECT_EQ(clips[0].report.discarded, 0);
}

TEST_F(NvdecClips, EditLists) {
  const auto path = MakeClip("gop25.mp4", kSource + "-c:v libx264 -preset veryfast -bf 2 -g 25");
  ExpectAllByNvdec(Check(MakeClip("cut_for_gpu.mp4", "-ss 0.7 -i " + path.string() + " -c copy")));
}

TEST_F(NvdecClips, FramesAtTheirOwnSizeComeFromTheCpu) {
  const auto path = MakeClip("gop25.mp4", kSource + "-c:v libx264 -preset veryfast -bf 2 -g 25");
  ClipRequest request;
  request.keep_images = true;
  const auto clips = Check(path, request);
  EXPECT_EQ(clips.at(0).report.decoder, "software");
  EXPECT_EQ(clips.at(0).images.size(), 8U);
  EXPECT_NE(clips.at(0).report.decoder_reason, "");
}

TEST_F(NvdecClips, LimitsMatchTheCpu) {
  const auto path = MakeClip("gop25.mp4", kSource + "-c:v libx264 -preset veryfast -bf 2 -g 25");
  for (const bool bytes : {false, true}) {
    ClipRequest request;
    if (bytes) {
      request.limits.max_bytes = 200'000;
    } else {
      request.limits.max_pixels = 1000;
    }
    const Status cpu = ReadError(MediaPath{path.string()}, request);
    request.gpu = gpu_;
    const Status status = ReadError(MediaPath{path.string()}, request);
    EXPECT_EQ(status.code(), StatusCode::kLimit);
    EXPECT_EQ(status.message(), cpu.message());
  }
  // Too little memory for NVDEC's surfaces, enough for the CPU.
  ClipRequest request;
  request.limits.max_bytes = 2'500'000;
  EXPECT_EQ(Check(path, request).at(0).report.decoder, "software");
}

}  // namespace
}  // namespace cosmos::test
