// A clip that is alone uses several of NVDEC's engines and comes out the same: read in this process, and in a
// decoder process that hands its packets over.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "nvdec_support.h"

namespace cosmos::test {
namespace {

constexpr int kEngines = 7;  // of the double

// Keyframes every ten pictures and eight frames wanted: more runs than engines.
std::filesystem::path Clip() {
  return MakeClip("parallel.mp4",
                  "-f lavfi -i testsrc2=size=96x80:rate=25:duration=4 -pix_fmt yuv420p -c:v libx264 "
                  "-preset veryfast -bf 2 -g 10");
}

ClipRequest Request(std::shared_ptr<Gpu> gpu = nullptr) {
  ClipRequest request;
  request.shape = {.frames = 8, .height = 48, .width = 48};
  request.gpu = std::move(gpu);
  return request;
}

class NvdecParallel : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { fake_.Reset(); }
  void TearDown() override { fake_.ExpectNothingLeft(); }

  static Result<DecodedClip> Read(const MediaSource& source, const ClipRequest& request,
                                  CancelTokenPtr cancel = std::make_shared<CancelToken>()) {
    auto reader = GetParam() && request.gpu ? OpenHandedOver(source, request, std::nullopt, cancel)
                                            : ClipReader::Open(source, request, std::nullopt, cancel);
    if (!reader.ok()) return reader.TakeStatus();
    auto clip = reader.value()->Next(cancel);
    if (!clip.ok()) return clip.TakeStatus();
    return *std::move(clip).value();
  }
  // The clip, which must be that of the CPU.
  static DecodedClip Check(const MediaSource& source, const std::shared_ptr<Gpu>& gpu) {
    auto clip = Read(source, Request(gpu));
    EXPECT_TRUE(clip.ok()) << clip.status().message();
    if (!clip.ok()) return {};
    ExpectSameClip(clip.value(), ReadClips(source, Request()).at(0));
    return std::move(clip).value();
  }

  // A GPU whose pool has an idle decoder for every engine.
  std::shared_ptr<Gpu> Warm(const MediaSource& source) const {
    auto gpu = fake_.Open({.nvdec_workers = kEngines});
    for (int i = 0; i < kEngines; ++i) EXPECT_TRUE(Read(source, Request(gpu)).ok());
    EXPECT_EQ(fake_.counts().created, kEngines);
    return gpu;
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
};

TEST_P(NvdecParallel, ALoneClipUsesOneMoreDecoderEachTimeAndComesOutTheSame) {
  const MediaPath path{Clip().string()};
  const auto cpu = ReadClips(path, Request());
  const auto gpu = fake_.Open({.nvdec_workers = kEngines});
  for (int count = 1; count <= kEngines + 2; ++count) {
    SCOPED_TRACE(count);
    const DecodeReport report = Check(path, gpu).report;
    EXPECT_EQ(report.decoder, "nvdec");
    EXPECT_EQ(report.decoder_reason, "");
    EXPECT_EQ(report.decoded + report.discarded, cpu.at(0).report.decoded + cpu.at(0).report.discarded);
    EXPECT_EQ(fake_.counts().created, std::min(count, kEngines));
  }
}

// A decoder cannot be reconfigured to another depth, so idle ones of 8 bits do not help a clip of 10 bits.
TEST_P(NvdecParallel, IdleDecodersOfAnotherDepthOrChromaAreNotCountedOn) {
  const auto clip = [](const std::string& name, const std::string& format) {
    return MediaPath{MakeClip(name, "-f lavfi -i testsrc2=size=192x160:rate=25:duration=2 -pix_fmt " +
                                        format +
                                        " -c:v libx265 -preset ultrafast "
                                        "-x265-params log-level=none:keyint=10:min-keyint=10")
                         .string()};
  };
  const MediaPath ordinary = clip("parallel8.mp4", "yuv420p");
  const auto gpu = fake_.Open({.nvdec_workers = kEngines});
  for (int i = 0; i < kEngines; ++i) EXPECT_TRUE(Read(ordinary, Request(gpu)).ok());
  auto created = fake_.counts().created;
  EXPECT_GE(created, 3) << "several are idle";
  for (const auto& other : {clip("parallel10.mp4", "yuv420p10le"), clip("parallel444.mp4", "yuv444p")}) {
    Check(other, gpu);
    EXPECT_EQ(fake_.counts().created, ++created) << "a clip creates one decoder at most";
  }
}

TEST_P(NvdecParallel, EveryPartReadsBytesInMemory) {
  const auto bytes = std::make_shared<const std::vector<std::uint8_t>>(ReadFile(Clip()));
  const MediaSource source = MediaBytes{.data = *bytes, .owner = bytes};
  Check(source, Warm(source));
}

TEST_P(NvdecParallel, ConcurrentClipsDoNotTakeEachOthersSlots) {
  const MediaPath path{Clip().string()};
  const auto cpu = ReadClips(path, Request());
  const auto gpu = Warm(path);
  std::vector<std::thread> callers;
  std::vector<Result<DecodedClip>> clips;
  for (int i = 0; i < 3 * kEngines; ++i) clips.emplace_back(Status(StatusCode::kEngine, "not read"));
  for (auto& clip : clips) callers.emplace_back([&] { clip = Read(path, Request(gpu)); });
  for (auto& caller : callers) caller.join();
  for (auto& clip : clips) {
    ASSERT_TRUE(clip.ok()) << clip.status().message();
    ExpectSameClip(clip.value(), cpu.at(0));
  }
  EXPECT_EQ(fake_.counts().created, kEngines);
}

TEST_P(NvdecParallel, WithOneSlotTheRunsAreDecodedInSequence) {
  const MediaPath path{Clip().string()};
  const auto gpu = fake_.Open({.nvdec_workers = 1});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Read(path, Request(gpu)).ok());
  EXPECT_EQ(fake_.counts().created, 1);
}

// A clip that is refused when its runs are decoded one after the other is refused in parts, too.
TEST_P(NvdecParallel, TheLimitOnMemoryCountsThePicturesOfAllParts) {
  const MediaPath path{
      MakeClip("parallel_large.mp4",
               "-f lavfi -i testsrc2=size=640x480:rate=25:duration=4 -pix_fmt yuv420p -c:v libx264 "
               "-preset veryfast -bf 2 -g 10")
          .string()};
  ClipRequest request = Request(fake_.Open({.nvdec_workers = 2}));
  request.shape.frames = 40;  // 18 MB of pictures, half of them for each of two decoders
  request.limits.max_bytes = 14 << 20;
  for (int count = 0; count < 3; ++count) {
    SCOPED_TRACE(count);
    const auto clip = Read(path, request);
    if (clip.ok()) {
      EXPECT_EQ(clip.value().report.decoder_reason,
                "damage: the pictures of a clip need more GPU memory than maxBytes");
    } else {
      EXPECT_EQ(clip.status().code(), StatusCode::kLimit) << clip.status().message();
    }
  }
}

TEST_P(NvdecParallel, DamageIsDecodedByTheCpu) {
  const auto whole = ReadFile(Clip());
  auto damaged = whole;
  for (std::size_t i = damaged.size() / 2; i < damaged.size() / 2 + 400; ++i) damaged[i] ^= 0x5a;
  const auto bytes = std::make_shared<const std::vector<std::uint8_t>>(std::move(damaged));
  const MediaSource source = MediaBytes{.data = *bytes, .owner = bytes};
  Check(source, Warm(MediaPath{Clip().string()}));
}

TEST_P(NvdecParallel, AFailureInAnyPartGivesTheClipOfTheCpu) {
  const MediaPath path{Clip().string()};
  const auto cpu = ReadClips(path, Request());
  for (const char* function : {"cuvidCreateVideoParser", "cuvidParseVideoData", "cuvidDecodePicture",
                               "cuvidMapVideoFrame64", "cuvidUnmapVideoFrame64", "cuMemAlloc_v2"}) {
    for (const int call : {1, 3, 9, 30}) {
      SCOPED_TRACE(testing::Message() << function << " at call " << call);
      const auto gpu = Warm(path);
      {
        const ScopedFaults faults(std::string(function) + "=999@" + std::to_string(call));
        auto clip = Read(path, Request(gpu));
        ASSERT_TRUE(clip.ok()) << clip.status().message();
        ExpectSameClip(clip.value(), cpu.at(0));
      }
      fake_.Reset();
    }
  }
}

TEST_P(NvdecParallel, ItCanBeCancelledAtAnyTime) {
  const MediaPath path{Clip().string()};
  const auto gpu = Warm(path);
  for (int delay = 0; delay < 30; delay += 2) {
    auto cancel = std::make_shared<CancelToken>();
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(delay));
      cancel->Cancel();
    });
    auto clip = Read(path, Request(gpu), cancel);
    later.join();
    if (clip.ok()) continue;
    EXPECT_EQ(clip.status().code(), StatusCode::kCancelled) << clip.status().message();
  }
  EXPECT_TRUE(Read(path, Request(gpu)).ok());
}

INSTANTIATE_TEST_SUITE_P(Nvdec, NvdecParallel, testing::Bool(),
                         [](const auto& each) { return each.param ? "HandedOver" : "InProcess"; });

}  // namespace
}  // namespace cosmos::test
