// Decoder processes: the same clips as in this process, whatever the decoder does.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "isolation/decoder_pool.h"
#include "isolation/sealed_memory.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

namespace fs = std::filesystem;

DecoderOptions Options(const std::string& executable = COSMOS_DECODER) {
  return {.executable = executable, .max_bytes = std::int64_t{2} << 30, .idle = 1};
}

std::shared_ptr<DecoderPool> OpenPool(const DecoderOptions& options = Options()) {
  auto pool = DecoderPool::Open(options);
  EXPECT_TRUE(pool.ok()) << pool.status().message();
  return pool.ok() ? std::move(pool).value() : nullptr;
}

// The stand-in that misbehaves as `name` says.
DecoderOptions Hostile(const std::string& name) {
  const fs::path link = ScratchFolder() / "hostile" / name;
  fs::create_directories(link.parent_path());
  if (!fs::exists(fs::symlink_status(link))) fs::create_symlink(COSMOS_HOSTILE_DECODER, link);
  return Options(link.string());
}

Result<DecodedClip> Decode(DecoderPool& pool, const MediaSource& source, const ClipRequest& request,
                           const CancelTokenPtr& cancel = std::make_shared<CancelToken>()) {
  COSMOS_ASSIGN_OR_RETURN(auto reader, pool.OpenReader(source, request, {}, cancel));
  COSMOS_ASSIGN_OR_RETURN(auto clip, reader->Next(cancel));
  EXPECT_TRUE(clip.has_value());
  return *std::move(clip);
}

void ExpectSame(const DecodedClip& isolated, const DecodedClip& own) {
  const std::size_t bytes = own.clip->shape().bytes();
  EXPECT_EQ(isolated.clip->shape(), own.clip->shape());
  EXPECT_EQ(std::memcmp(isolated.clip->data(), own.clip->data(), bytes), 0);
  EXPECT_EQ(isolated.start, own.start);
  EXPECT_EQ(isolated.end, own.end);
  ASSERT_EQ(isolated.frames.size(), own.frames.size());
  for (std::size_t i = 0; i < own.frames.size(); ++i) {
    EXPECT_EQ(isolated.frames[i].index, own.frames[i].index);
    EXPECT_EQ(isolated.frames[i].pts, own.frames[i].pts);
    EXPECT_EQ(isolated.frames[i].keyframe, own.frames[i].keyframe);
  }
  ASSERT_EQ(isolated.images.size(), own.images.size());
  for (std::size_t i = 0; i < own.images.size(); ++i) EXPECT_EQ(isolated.images[i].data, own.images[i].data);
  const DecodeReport& left = isolated.report;
  const DecodeReport& right = own.report;
  EXPECT_EQ(left.container, right.container);
  EXPECT_EQ(left.codec, right.codec);
  EXPECT_EQ(left.pixel_format, right.pixel_format);
  EXPECT_EQ(left.decoder, right.decoder);
  EXPECT_EQ(left.width, right.width);
  EXPECT_EQ(left.height, right.height);
  EXPECT_EQ(left.rotation, right.rotation);
  EXPECT_EQ(left.duration, right.duration);
  EXPECT_EQ(left.frame_count, right.frame_count);
  EXPECT_EQ(left.decoded, right.decoded);
  EXPECT_EQ(left.seeks, right.seeks);
  EXPECT_EQ(left.bytes_read, right.bytes_read);
  EXPECT_EQ(left.damaged, right.damaged);
  EXPECT_EQ(left.warnings, right.warnings);
}

const std::string kSource = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=3 ";

TEST(Isolation, GivesTheClipsOfThisProcessForFilesAndBytes) {
  const auto pool = OpenPool();
  const fs::path videos[] = {
      MakeClip("isolated.mp4", kSource + "-c:v libx264 -bf 3 -g 20"),
      MakeClip("isolated.webm", kSource + "-c:v libvpx-vp9 -cpu-used 8"),
      MakeClip("isolated.ts", kSource + "-c:v mpeg2video -bf 2"),
      MakeClip("isolated.avi", kSource + "-c:v mjpeg"),
  };
  ClipRequest plain;
  ClipRequest ranged = Frames(5);
  ranged.start = 0.5;
  ranged.end = 2.1;
  ranged.frame_tolerance = 0.2;
  ranged.keep_images = true;
  ranged.threads = 4;
  ClipRequest chosen = Frames(3);
  chosen.frame_rule = FrameIndices{{5, 70, 5}};
  ClipRequest curator;
  curator.frame_rule = NamedFrameRule::kCurator;
  for (const fs::path& video : videos) {
    const std::vector<std::uint8_t> bytes = ReadFile(video);
    for (const ClipRequest& request : {plain, ranged, chosen, curator}) {
      for (const MediaSource& source : {MediaSource(MediaPath{video.string()}), MediaSource(Borrow(bytes))}) {
        SCOPED_TRACE(video);
        auto isolated = Decode(*pool, source, request);
        ASSERT_TRUE(isolated.ok()) << isolated.status().message();
        ExpectSame(isolated.value(), ReadClips(source, request).at(0));
      }
    }
  }
  // One process did all of this.
  EXPECT_EQ(pool->stats().started, 1);
}

TEST(Isolation, GivesTheSameWindows) {
  const auto pool = OpenPool();
  const MediaSource source =
      MediaPath{MakeClip("isolated.mp4", kSource + "-c:v libx264 -bf 3 -g 20").string()};
  for (const Windows& windows : {Windows{.seconds = 1, .stride = 0.5}, Windows{.cuts = std::vector{0.2, 0.9}},
                                 Windows{.cuts = std::vector<double>()},
                                 Windows{.shots = ShotOptions{.threshold = 1, .min_seconds = 0.1}}}) {
    const ClipRequest request = Frames(4);
    const std::vector<DecodedClip> own = ReadClips(source, request, windows);
    auto reader = pool->OpenReader(source, request, windows, nullptr);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    for (const DecodedClip& expected : own) {
      auto clip = reader.value()->Next(nullptr);
      ASSERT_TRUE(clip.ok() && clip.value());
      ExpectSame(*clip.value(), expected);
    }
    for (int i = 0; i < 2; ++i) {
      auto end = reader.value()->Next(nullptr);
      ASSERT_TRUE(end.ok());
      EXPECT_FALSE(end.value());
    }
  }
  EXPECT_EQ(pool->stats().idle, 1);
}

TEST(Isolation, GivesTheSameClipOfPictures) {
  const auto pool = OpenPool();
  const std::vector<std::uint8_t> png =
      ReadFile(MakeClip("isolated.png", "-f lavfi -i testsrc2=size=64x48 -frames:v 1"));
  std::vector<StillImage> images;
  images.emplace_back(Borrow(png));
  images.emplace_back(RgbImage{3, 2, std::vector<std::uint8_t>(18, 200)});
  ClipRequest request = Frames(4);
  request.keep_images = true;
  auto isolated = pool->ClipFromImages(images, request, nullptr);
  auto own = ClipFromImages(images, request, nullptr);
  ASSERT_TRUE(isolated.ok()) << isolated.status().message();
  ExpectSame(isolated.value(), own.value());
}

TEST(Isolation, FailsAsThisProcessDoes) {
  const auto pool = OpenPool();
  const std::vector<std::uint8_t> noise(5000, 0x5a);
  const std::vector<std::uint8_t> nothing;
  const MediaPath video{MakeClip("isolated.mp4", kSource + "-c:v libx264 -bf 3 -g 20").string()};
  ClipRequest small = Frames(2);
  small.limits.max_pixels = 100;
  ClipRequest late = Frames(2);
  late.start = 100;
  ClipRequest beyond = Frames(1);
  beyond.frame_rule = FrameIndices{{5000}};
  const std::pair<MediaSource, ClipRequest> cases[] = {
      {MediaPath{"/no/such/file.mp4"}, {}},
      {MediaPath{"/tmp"}, {}},
      {Borrow(noise), {}},
      {Borrow(nothing), {}},
      {video, small},
      {video, late},
      {video, beyond},
  };
  for (const auto& [source, request] : cases) {
    const Status own = ReadError(source, request);
    const auto isolated = Decode(*pool, source, request);
    ASSERT_FALSE(isolated.ok());
    EXPECT_EQ(isolated.status().code(), own.code());
    EXPECT_EQ(isolated.status().message(), own.message());
    EXPECT_EQ(isolated.status().details(), own.details());
  }
  EXPECT_EQ(pool->stats().started, 1);
  EXPECT_EQ(pool->stats().crashed, 0);
}

TEST(Isolation, StandsBehindWalls) {
  const auto pool = OpenPool();
  // The others depend on the machine; doctor tells which stand.
  EXPECT_TRUE(pool->walls().system_calls);
  EXPECT_TRUE(pool->walls().memory);
}

TEST(Isolation, IsCancelledAndGoesOn) {
  const auto pool = OpenPool();
  const MediaPath longer{
      MakeClip("isolated_long.mp4",
               "-f lavfi -i testsrc2=size=1280x720:rate=30:duration=20 -c:v libx264 -preset ultrafast -g 600")
          .string()};
  const auto cancel = std::make_shared<CancelToken>();
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel->Cancel();
  });
  const auto clip = Decode(*pool, longer, Frames(60), cancel);
  canceller.join();
  ASSERT_FALSE(clip.ok());
  EXPECT_EQ(clip.status().code(), StatusCode::kCancelled);
  ClipRequest hurried = Frames(60);
  hurried.limits.max_wall_seconds = 0.05;
  EXPECT_EQ(Decode(*pool, longer, hurried).status().code(), StatusCode::kTimeout);
  EXPECT_TRUE(Decode(*pool, longer, Frames(1)).ok());
  EXPECT_EQ(pool->stats().crashed, 0);
}

TEST(Isolation, ReplacesAProcessAfterItsClips) {
  DecoderOptions options = Options();
  options.clips_per_process = 2;
  const auto pool = OpenPool(options);
  const MediaPath video{MakeClip("isolated.avi", kSource + "-c:v mjpeg").string()};
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Decode(*pool, video, Frames(1)).ok());
  EXPECT_EQ(pool->stats().retired, 2);
  EXPECT_GE(pool->stats().started, 3);
}

TEST(Isolation, EndsTheProcessOfAVideoThatIsClosedEarly) {
  const auto pool = OpenPool();
  const MediaPath video{MakeClip("isolated.avi", kSource + "-c:v mjpeg").string()};
  {
    auto reader = pool->OpenReader(video, Frames(1), Windows{.seconds = 0.5, .stride = 0.5}, nullptr);
    ASSERT_TRUE(reader.ok() && reader.value()->Next(nullptr).ok());
  }
  EXPECT_EQ(pool->stats().retired, 1);
  EXPECT_EQ(pool->stats().busy, 0);
}

std::size_t OpenDescriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

struct Misbehaviour {
  const char* name;
  StatusCode code;
  const char* says;
};

class HostileDecoder : public testing::TestWithParam<Misbehaviour> {};

// Whatever the process does costs its own clip; the next one finds another process.
TEST_P(HostileDecoder, CostsItsOwnClip) {
  const auto& [name, code, says] = GetParam();
  const std::vector<std::uint8_t> media(1000, 1);
  ClipRequest request = Frames(2);
  // The others end by themselves, however busy the machine is.
  request.limits.max_wall_seconds = code == StatusCode::kTimeout ? 0.2 : 30;
  std::size_t before = 0;
  for (int round = 0; round < 2; ++round) {
    {
      const auto pool = OpenPool(Hostile(name));
      for (int clip = 0; clip < 2; ++clip) {
        const auto failed = Decode(*pool, Borrow(media), request);
        ASSERT_FALSE(failed.ok());
        EXPECT_EQ(failed.status().code(), code) << failed.status().message();
        EXPECT_NE(failed.status().message().find(says), std::string::npos) << failed.status().message();
      }
      EXPECT_EQ(pool->stats().busy, 0);
    }
    // Nothing is leaked, however the process ended.
    if (round == 0) before = OpenDescriptors();
    EXPECT_EQ(OpenDescriptors(), before);
  }
}

constexpr Misbehaviour kMisbehaviours[] = {
    {"abort", StatusCode::kMedia, "signal 6, SIGABRT"},
    {"open-abort", StatusCode::kMedia, "signal 6, SIGABRT"},
    {"exit", StatusCode::kMedia, "exit code 7"},
    {"killed", StatusCode::kOutOfMemory, "SIGKILL"},
    {"open-killed", StatusCode::kOutOfMemory, "SIGKILL"},
    {"hang", StatusCode::kTimeout, "maxWallSeconds"},
    {"open-spin", StatusCode::kTimeout, "maxWallSeconds"},
    {"garbage", StatusCode::kMedia, "no message"},
    {"open-garbage", StatusCode::kMedia, "no message"},
    {"endless", StatusCode::kMedia, "no message"},
    {"unknown-type", StatusCode::kMedia, "unknown type"},
    {"half", StatusCode::kMedia, "exit code 0"},
    {"out-of-order", StatusCode::kMedia, "out of order"},
    {"open-out-of-order", StatusCode::kMedia, "out of order"},
    {"bad-failure", StatusCode::kInternal, "disagree"},
    {"device-lost", StatusCode::kInternal, "disagree"},
    {"few-frames", StatusCode::kMedia, "disagree"},
    {"nan", StatusCode::kMedia, "disagree"},
    {"huge-index", StatusCode::kMedia, "disagree"},
    {"images", StatusCode::kMedia, "disagree"},
    {"decoder-name", StatusCode::kMedia, "disagree"},
    {"cut", StatusCode::kMedia, "disagree"},
    {"long", StatusCode::kMedia, "disagree"},
    {"no-memory", StatusCode::kMedia, "not sealed"},
    {"unsealed", StatusCode::kMedia, "not sealed"},
    {"a-file", StatusCode::kMedia, "not sealed"},
    {"small-memory", StatusCode::kMedia, "not sealed"},
    {"unwritten", StatusCode::kMedia, "not sealed"},
    {"closes", StatusCode::kMedia, "was stopped on this file"},
    {"short", StatusCode::kOutOfMemory, "the system was short"},
};

INSTANTIATE_TEST_SUITE_P(All, HostileDecoder, testing::ValuesIn(kMisbehaviours), [](const auto& each) {
  std::string name = each.param.name;
  std::erase(name, '-');
  return name;
});

TEST(Isolation, SaysWhyADecoderCannotBeStarted) {
  const fs::path locked = ScratchFolder() / "not-executable";
  fs::copy_file(COSMOS_DECODER, locked, fs::copy_options::overwrite_existing);
  fs::permissions(locked, fs::perms::owner_read);
  const std::pair<DecoderOptions, const char*> cases[] = {
      {Options("/no/such/decoder"), "No such file"},  {Options(locked.string()), "chmod +x"},
      {Hostile("early-exit"), "did not start"},       {Hostile("version"), "was built for version 0.0.1"},
      {Hostile("protocol"), "was built for version"},
  };
  for (const auto& [options, says] : cases) {
    const auto pool = DecoderPool::Open(options);
    ASSERT_FALSE(pool.ok());
    EXPECT_EQ(pool.status().code(), StatusCode::kLibrary);
    EXPECT_NE(pool.status().message().find(says), std::string::npos) << pool.status().message();
  }
}

TEST(SealedMemory, CannotBeChanged) {
  const std::vector<std::uint8_t> first{1, 2, 3};
  const std::vector<std::uint8_t> second{4, 5};
  const ByteView parts[] = {first, second};
  const auto memory = SealedCopy(parts);
  ASSERT_TRUE(memory.ok());
  const int descriptor = memory.value().get();
  EXPECT_LT(pwrite(descriptor, "x", 1, 0), 0);
  EXPECT_NE(ftruncate(descriptor, 0), 0);
  EXPECT_EQ(mmap(nullptr, 5, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), MAP_FAILED);
  const auto mapped = MapSealed(memory.value(), 5);
  ASSERT_TRUE(mapped.ok());
  EXPECT_EQ(std::vector(mapped->data.begin(), mapped->data.end()),
            (std::vector<std::uint8_t>{1, 2, 3, 4, 5}));
  EXPECT_FALSE(MapSealed(memory.value(), 4).ok());
  EXPECT_FALSE(MapSealed(memory.value(), 6).ok());
}

}  // namespace
}  // namespace cosmos::test
