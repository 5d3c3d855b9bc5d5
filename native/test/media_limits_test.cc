// Tests limits, cancellation, damage, and inputs that are not what they claim to be.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "ffmpeg/capabilities.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

std::filesystem::path Small() {
  return MakeClip("small.mp4", "-f lavfi -i testsrc2=s=96x64:r=25:d=2 -c:v libx264 -bf 2 -g 10");
}

std::filesystem::path Write(const std::string& name, const std::string& text) {
  const auto path = ScratchFolder() / name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::vector<std::string> DetailKeys(const Status& status) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : status.details()) keys.push_back(key);
  return keys;
}

TEST(MediaErrors, SourcesThatCannotBeRead) {
  EXPECT_EQ(ReadError(MediaPath{"/nonexistent/clip.mp4"}).code(), StatusCode::kSource);
  EXPECT_EQ(ReadError(MediaPath{ScratchFolder().string()}).code(), StatusCode::kSource);
  EXPECT_EQ(ReadError(MediaPath{"/dev/zero"}).code(), StatusCode::kSource);
  const auto fifo = ScratchFolder() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ReadError(MediaPath{fifo.string()}).code(), StatusCode::kSource);
}

TEST(MediaErrors, BytesWithoutAVideo) {
  const std::vector<std::uint8_t> none;
  EXPECT_EQ(ReadError(Borrow(none)).code(), StatusCode::kMedia);
  EXPECT_EQ(
      ReadError(MediaPath{Write("text.mp4", "this is not a video, it is a sentence\n").string()}).code(),
      StatusCode::kMedia);
  const auto sound = MakeClip("sound.mp4", "-f lavfi -i sine=d=1 -c:a aac");
  const Status status = ReadError(MediaPath{sound.string()});
  EXPECT_EQ(status.code(), StatusCode::kMedia);
  EXPECT_NE(status.message().find("no video stream"), std::string::npos) << status.message();
}

TEST(MediaErrors, FilesThatAreTakenForVideosAreNamed) {
  const auto message = [](const std::string& name, const std::string& bytes) {
    return ReadError(MediaPath{Write(name, bytes).string()}).message();
  };
  const auto holds = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const auto animation = MakeClip("animation.webp", "-f lavfi -i testsrc2=s=64x64:d=1:r=5 -c:v libwebp_anim");
  const Status status = ReadError(MediaPath{animation.string()});
  EXPECT_EQ(status.code(), StatusCode::kMedia);
  EXPECT_TRUE(holds(status.message(), "an animated WebP")) << status.message();
  EXPECT_TRUE(holds(message("a.jpg", "\xff\xd8\xff\xe0 and so on"), "a JPEG picture"));
  EXPECT_TRUE(holds(message("a.m3u8", "#EXTM3U\n#EXTINF:4,\na.ts\n"), "an HLS playlist"));
  EXPECT_TRUE(holds(message("a.html", "<!DOCTYPE html><p>404"), "an HTML page"));
  EXPECT_TRUE(
      holds(message("a.heic", std::string("\0\0\0\x10", 4) + "ftypheic" + std::string(4, 0)), "HEIC"));
}

TEST(MediaErrors, CoverArtIsNotAVideo) {
  const auto cover = MakeClip("cover.png", "-f lavfi -i testsrc2=s=64x64 -frames:v 1");
  const auto song = MakeClip("song.mp4", "-f lavfi -i sine=d=1 -i '" + cover.string() +
                                             "' -map 0 -map 1 -c:a aac -c:v png -disposition:v attached_pic");
  EXPECT_EQ(ReadError(MediaPath{song.string()}).code(), StatusCode::kMedia);
}

// A file must not make the decoder open another one.
TEST(MediaErrors, PlaylistsAreRefused) {
  const auto target = Small();
  const std::string name = target.filename().string();
  const auto list = Write("list.mp4", "ffconcat version 1.0\nfile " + name + "\n");
  const auto playlist = Write(
      "list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + target.string() + "\n#EXT-X-ENDLIST\n");
  for (const auto& path : {list, playlist}) {
    EXPECT_EQ(ReadError(MediaPath{path.string()}).code(), StatusCode::kMedia) << path;
    const auto bytes = ReadFile(path);
    EXPECT_EQ(ReadError(Borrow(bytes)).code(), StatusCode::kMedia) << path;
  }
}

TEST(MediaErrors, CodecsThatAreNotAllowedAreNamed) {
  const auto path = MakeClip("huffyuv.mkv", "-f lavfi -i testsrc2=s=64x64:d=0.2 -c:v huffyuv");
  const Status status = ReadError(MediaPath{path.string()});
  EXPECT_EQ(status.code(), StatusCode::kMedia);
  EXPECT_NE(status.message().find("huffyuv"), std::string::npos) << status.message();
}

TEST(MediaErrors, InvalidRequests) {
  const MediaPath source{Small().string()};
  const auto error = [&](auto change) {
    ClipRequest request;
    change(request);
    return ReadError(source, request).code();
  };
  EXPECT_EQ(error([](ClipRequest& request) { request.start = -1; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(error([](ClipRequest& request) { request.end = 0.0; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(error([](ClipRequest& request) { request.threads = 0; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(error([](ClipRequest& request) { request.shape.frames = 0; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(error([](ClipRequest& request) { request.shape.width = 1 << 20; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(error([](ClipRequest& request) { request.frame_tolerance = -0.1; }),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(error([](ClipRequest& request) { request.start = 60; }), StatusCode::kMedia);
}

TEST(MediaLimits, EachNamesItsLimit) {
  const MediaPath source{Small().string()};
  const auto error = [&](auto change) {
    ClipRequest request;
    change(request.limits);
    return ReadError(source, request);
  };
  const Status pixels = error([](DecodeLimits& limits) { limits.max_pixels = 96 * 64 - 1; });
  EXPECT_EQ(pixels.code(), StatusCode::kLimit);
  EXPECT_NE(pixels.message().find("maxPixels"), std::string::npos) << pixels.message();
  EXPECT_TRUE(std::ranges::count(DetailKeys(pixels), "limit"));
  const Status bytes = error([](DecodeLimits& limits) { limits.max_bytes = 20000; });
  EXPECT_EQ(bytes.code(), StatusCode::kLimit);
  EXPECT_NE(bytes.message().find("maxBytes"), std::string::npos) << bytes.message();
  EXPECT_EQ(error([](DecodeLimits& limits) { limits.max_wall_seconds = 0; }).code(), StatusCode::kTimeout);
  const Status enough = error([](DecodeLimits& limits) { limits.max_pixels = 96 * 64; });
  EXPECT_TRUE(enough.ok()) << enough.message();
}

TEST(MediaLimits, PicturesBeyondTheHighestLevelsOfTheCodecsAreRefused) {
  const auto path =
      MakeClip("huge.mkv", "-f lavfi -i color=s=8192x4400:r=1:d=1 -frames:v 1 -c:v mjpeg -pix_fmt yuvj420p");
  const Status status = ReadError(MediaPath{path.string()});
  EXPECT_EQ(status.code(), StatusCode::kLimit) << status.message();
  EXPECT_NE(status.message().find("maxPixels"), std::string::npos) << status.message();
}

TEST(MediaLimits, ACancelledReadStops) {
  const MediaPath source{Small().string()};
  const auto cancelled = std::make_shared<CancelToken>();
  cancelled->Cancel();
  EXPECT_EQ(ClipReader::Open(source, {}, std::nullopt, cancelled).status().code(), StatusCode::kCancelled);

  auto reader = ClipReader::Open(source, {}, std::nullopt, std::make_shared<CancelToken>());
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader.value()->Next(cancelled).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(reader.value()->Next(nullptr).status().code(), StatusCode::kCancelled) << "an error is final";
}

TEST(MediaLimits, CancellingFromAnotherThreadEndsALongDecode) {
  const auto path =
      MakeClip("long.mp4", "-f lavfi -i testsrc2=s=640x360:r=25:d=60 -c:v libx264 -preset ultrafast");
  const auto cancel = std::make_shared<CancelToken>();
  ClipRequest request = Frames(1000);
  auto reader = ClipReader::Open(MediaPath{path.string()}, request, std::nullopt, cancel);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel->Cancel();
  });
  EXPECT_EQ(reader.value()->Next(cancel).status().code(), StatusCode::kCancelled);
  canceller.join();
}

// The frames that are there are used.
TEST(MediaDamage, ATruncatedFileYieldsItsRemainingFrames) {
  for (const std::string file : {"cut.mkv", "cut.ts", "cut.h264", "cut.avi"}) {
    SCOPED_TRACE(file);
    const auto path = MakeClip(file, "-f lavfi -i testsrc2=s=96x64:r=25:d=4 -c:v libx264 -bf 2 -g 25");
    std::vector<std::uint8_t> bytes = ReadFile(path);
    bytes.resize(bytes.size() * 6 / 10);
    const DecodedClip clip = ReadClip(Borrow(bytes));
    EXPECT_GT(clip.report.frame_count, 20);
    EXPECT_LT(clip.report.frame_count, 100);
  }
}

TEST(MediaDamage, MissingFramesAreReplacedAndReported) {
  const auto path = MakeClip(
      "faststart.mp4", "-f lavfi -i testsrc2=s=96x64:r=25:d=4 -c:v libx264 -bf 2 -g 25 -movflags +faststart");
  std::vector<std::uint8_t> bytes = ReadFile(path);
  bytes.resize(bytes.size() * 7 / 10);  // the tables at the front still list all of it
  const DecodedClip clip = ReadClip(Borrow(bytes));
  for (std::size_t i = 1; i < clip.frames.size(); ++i)
    EXPECT_LE(clip.frames[i - 1].index, clip.frames[i].index);
  EXPECT_LT(clip.report.frame_count, 100);
}

TEST(MediaDamage, ZeroedPicturesAreReplacedAndReported) {
  const auto path = MakeClip("zeroed.mkv", "-f lavfi -i testsrc2=s=96x64:r=25:d=4 -c:v mpeg4 -g 5");
  std::vector<std::uint8_t> bytes = ReadFile(path);
  const auto third = static_cast<std::ptrdiff_t>(bytes.size() / 3);
  std::fill(bytes.begin() + third, bytes.begin() + 2 * third, std::uint8_t{0});
  ClipRequest request = Frames(8);
  const DecodedClip clip = ReadClip(Borrow(bytes), request);
  EXPECT_EQ(clip.images.size(), 8U);
  // MPEG-4's decoder does not detect every zeroed picture, but reports that there was damage.
  EXPECT_GT(clip.report.damaged, 0);
  EXPECT_FALSE(clip.report.warnings.empty());
  EXPECT_EQ(ReadClip(MediaPath{path.string()}, request).report.damaged, 0);
}

TEST(MediaDamage, AFileWithoutADecodableFrameIsAnErrorWithDetails) {
  const auto path = MakeClip("ruined.mp4", "-f lavfi -i testsrc2=s=96x64:r=25:d=1 -c:v libx264 -g 25");
  std::vector<std::uint8_t> bytes = ReadFile(path);
  const std::string mark = "mdat";
  const auto data = std::ranges::search(bytes, mark).end();
  std::fill(data, data + 8000, std::uint8_t{0xff});
  std::fill(data, bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size()) - 3000, std::uint8_t{0xff});
  const Status status = ReadError(Borrow(bytes));
  EXPECT_EQ(status.code(), StatusCode::kMedia);
  for (const std::string key : {"container", "codec", "position", "reason"}) {
    EXPECT_EQ(std::ranges::count(DetailKeys(status), key), 1) << key;
  }
}

// Any damage must end in a clip or an error. The sanitizers watch.
TEST(MediaDamage, TruncationsAndBitFlipsNeverCrash) {
  const std::string source = "-f lavfi -i testsrc2=s=64x48:r=25:d=1 ";
  const std::vector<std::filesystem::path> paths = {
      MakeClip("fuzz.mp4", source + "-c:v libx264 -bf 2 -g 10"),
      MakeClip("fuzz_fragments.mp4", source + "-c:v libx264 -bf 2 -g 10 -movflags frag_keyframe+empty_moov"),
      MakeClip("fuzz.mkv", source + "-c:v libvpx-vp9 -cpu-used 8 -g 10"),
      MakeClip("fuzz.webm", source + "-c:v libvpx -g 10"),
      MakeClip("fuzz.ts", source + "-c:v libx265 -x265-params log-level=none:keyint=10"),
      MakeClip("fuzz.avi", source + "-c:v mpeg4 -bf 2 -g 10"),
      MakeClip("fuzz.mpg", source + "-c:v mpeg2video -bf 2 -g 10"),
      MakeClip("fuzz.flv", source + "-c:v libx264 -bf 2 -g 10"),
      MakeClip("fuzz.h264", source + "-c:v libx264 -bf 2 -g 10"),
  };
  std::mt19937 random(11);
  ClipRequest request = Frames(4);
  request.limits.max_wall_seconds = 20;
  request.limits.max_bytes = 256 << 20;
  request.limits.max_pixels = 1 << 20;
  for (const auto& path : paths) {
    const std::vector<std::uint8_t> whole = ReadFile(path);
    for (int round = 0; round < 40; ++round) {
      std::vector<std::uint8_t> bytes = whole;
      if (round % 3 == 0) bytes.resize(random() % bytes.size());
      // Half of the flips hit the first kilobyte, which holds the structure.
      for (int flips = round % 3 == 0 ? 0 : 1 + static_cast<int>(random() % 20); flips > 0; --flips) {
        const std::size_t reach = flips % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 1024);
        bytes[random() % reach] ^= static_cast<std::uint8_t>(1U << random() % 8);
      }
      request.threads = 1 + round % 2;
      request.start = round % 5 == 0 ? 0.3 : 0;
      const Status status = ReadError(Borrow(bytes), request);
      EXPECT_NE(status.code(), StatusCode::kInternal)
          << path << " round " << round << ": " << status.message();
      EXPECT_NE(status.code(), StatusCode::kTimeout) << path << " round " << round;
    }
  }
}

TEST(Capabilities, ListsWhatFfmpegSupports) {
  const FfmpegCapabilities capabilities = DescribeFfmpeg();
  EXPECT_FALSE(capabilities.avcodec.empty());
  EXPECT_TRUE(std::ranges::count(capabilities.decoders, "h264"));
  EXPECT_FALSE(std::ranges::count(capabilities.decoders, "huffyuv"));
  EXPECT_TRUE(std::ranges::count(capabilities.demuxers, "matroska,webm"));
}

}  // namespace
}  // namespace cosmos::test
