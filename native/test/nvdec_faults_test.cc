// Any failure at any call gives the right clip or the right error, and leaves nothing behind.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "hostile_packets.h"
#include "media/nvdec/nvdec.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

std::filesystem::path Clip(const std::string& name = "faults.mp4", const std::string& arguments = "-g 10") {
  return MakeClip(name,
                  "-f lavfi -i testsrc2=size=96x80:rate=25:duration=1.6 -pix_fmt yuv420p -c:v libx264 "
                  "-preset veryfast -bf 2 " +
                      arguments);
}

ClipRequest Small(std::shared_ptr<Gpu> gpu = nullptr) {
  ClipRequest request;
  request.shape = {.frames = 4, .height = 48, .width = 48};
  request.gpu = std::move(gpu);
  return request;
}

enum class Place { kInProcess, kHandedOver };

// All of it once with the file read in this process, and once in a decoder process.
class NvdecFaults : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override { fake_.Reset(); }
  void TearDown() override { fake_.ExpectNothingLeft(); }

  static Result<std::unique_ptr<ClipReader>> Open(const MediaSource& source, const ClipRequest& request,
                                                  const std::optional<Windows>& windows,
                                                  const CancelTokenPtr& cancel) {
    if (GetParam() == Place::kHandedOver) return OpenHandedOver(source, request, windows, cancel);
    return ClipReader::Open(source, request, windows, cancel);
  }

  // One clip, or the error.
  static Result<DecodedClip> Read(const std::filesystem::path& path, const ClipRequest& request,
                                  CancelTokenPtr cancel = std::make_shared<CancelToken>()) {
    auto reader = Open(MediaPath{path.string()}, request, std::nullopt, cancel);
    if (!reader.ok()) return reader.TakeStatus();
    auto clip = reader.value()->Next(cancel);
    if (!clip.ok()) return clip.TakeStatus();
    return *std::move(clip).value();
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
};

INSTANTIATE_TEST_SUITE_P(Nvdec, NvdecFaults, testing::Values(Place::kInProcess, Place::kHandedOver),
                         [](const auto& each) {
                           return each.param == Place::kInProcess ? "InProcess" : "HandedOver";
                         });

constexpr std::array kNvcuvid = {
    "cuvidCreateVideoParser", "cuvidParseVideoData",    "cuvidDestroyVideoParser", "cuvidCreateDecoder",
    "cuvidDestroyDecoder",    "cuvidDecodePicture",     "cuvidGetDecodeStatus",    "cuvidReconfigureDecoder",
    "cuvidMapVideoFrame64",   "cuvidUnmapVideoFrame64", "cuvidGetDecoderCaps"};

// The CPU replaces NVDEC after any error at any time.
TEST_P(NvdecFaults, AnyFailureOfNvdecGivesTheClipOfTheCpu) {
  const auto path = Clip();
  const auto cpu = ReadClips(MediaPath{path.string()}, Small());
  for (const char* function : kNvcuvid) {
    for (const int error : {1, 2, 999}) {
      for (const int call : {1, 2, 7, 20}) {
        SCOPED_TRACE(testing::Message() << function << " answers " << error << " at call " << call);
        const auto gpu = fake_.Open();
        const ScopedFaults faults(std::string(function) + "=" + std::to_string(error) + "@" +
                                  std::to_string(call));
        auto clip = Read(path, Small(gpu));
        ASSERT_TRUE(clip.ok()) << clip.status().message();
        ExpectSameClip(clip.value(), cpu.at(0));
      }
    }
  }
}

TEST_P(NvdecFaults, AFunctionThatNeverWorksGivesTheClipOfTheCpuAndTheReason) {
  const auto path = Clip();
  const auto cpu = ReadClips(MediaPath{path.string()}, Small());
  for (const char* function : {"cuvidCreateVideoParser", "cuvidParseVideoData", "cuvidCreateDecoder",
                               "cuvidDecodePicture", "cuvidMapVideoFrame64", "cuvidUnmapVideoFrame64"}) {
    for (const int error : {2, 999}) {
      SCOPED_TRACE(testing::Message() << function << " answers " << error);
      const auto gpu = fake_.Open();
      const ScopedFaults faults(std::string(function) + "=" + std::to_string(error) + "@1+");
      auto clip = Read(path, Small(gpu));
      ASSERT_TRUE(clip.ok()) << clip.status().message();
      ExpectSameClip(clip.value(), cpu.at(0));
      EXPECT_EQ(clip.value().report.decoder, "software");
      EXPECT_NE(clip.value().report.decoder_reason, "");
      EXPECT_EQ(gpu->stats().software, 1);
    }
  }
}

TEST_P(NvdecFaults, StickyErrorsLoseTheDevice) {
  // The double poisons its context until it is reset, as the driver does, so this test uses a device of its
  // own.
  const auto path = Clip();
  for (const char* function :
       {"cuvidCreateDecoder", "cuvidDecodePicture", "cuvidMapVideoFrame64", "cuvidParseVideoData"}) {
    SCOPED_TRACE(function);
    const auto gpu = fake_.Open({.device = 1});
    const ScopedFaults faults(std::string(function) + "=700@1");
    auto clip = Read(path, Small(gpu));
    ASSERT_FALSE(clip.ok());
    EXPECT_EQ(clip.status().code(), StatusCode::kDeviceLost) << clip.status().message();
    EXPECT_TRUE(gpu->stats().lost);
  }
}

TEST_P(NvdecFaults, AnyFailureOfTheDriverGivesTheClipOrATypedError) {
  const auto path = Clip();
  const auto cpu = ReadClips(MediaPath{path.string()}, Small());
  for (const char* function :
       {"cuMemAlloc_v2", "cuStreamCreate", "cuEventCreate", "cuEventRecord", "cuEventSynchronize",
        "cuStreamSynchronize", "cuMemcpy2DAsync_v2", "cuLaunchKernel", "cuCtxSetCurrent"}) {
    for (const int error : {1, 2, 999}) {
      for (const int call : {1, 2, 5}) {
        SCOPED_TRACE(testing::Message() << function << " answers " << error << " at call " << call);
        const auto gpu = fake_.Open();
        Result<DecodedClip> clip = Status();
        {
          const ScopedFaults faults(std::string(function) + "=" + std::to_string(error) + "@" +
                                    std::to_string(call));
          clip = Read(path, Small(gpu));
        }
        if (clip.ok()) {
          ExpectSameClip(clip.value(), cpu.at(0));
        } else {
          EXPECT_TRUE(clip.status().code() == StatusCode::kEngine ||
                      clip.status().code() == StatusCode::kOutOfMemory)
              << clip.status().message();
          EXPECT_NE(clip.status().message(), "");
        }
      }
    }
  }
}

TEST_P(NvdecFaults, PicturesThatNvdecReportsAsDamagedAreDecodedByTheCpu) {
  const auto path = Clip();
  const auto cpu = ReadClips(MediaPath{path.string()}, Small());
  for (const int status : {8, 9}) {
    for (const int picture : {1, 3, 6}) {
      const auto gpu = fake_.Open();
      const ScopedFaults faults("status=" + std::to_string(status) + "@" + std::to_string(picture));
      auto clip = Read(path, Small(gpu));
      ASSERT_TRUE(clip.ok());
      ExpectSameClip(clip.value(), cpu.at(0));
      EXPECT_NE(clip.value().report.decoder_reason.find("damage"), std::string::npos);
    }
  }
}

TEST_P(NvdecFaults, TimestampsThatComeBackWrongAreNotTrusted) {
  const auto cpu = ReadClips(MediaPath{Clip().string()}, Small());
  for (const int timestamp : {-1, 0, 7, 1'000'000}) {
    for (const char* when : {"@1", "@4", "@9", "@2+"}) {
      SCOPED_TRACE(testing::Message() << timestamp << when);
      const auto gpu = fake_.Open();
      const ScopedFaults faults("timestamp=" + std::to_string(timestamp) + when);
      auto clip = Read(Clip(), Small(gpu));
      ASSERT_TRUE(clip.ok()) << clip.status().message();
      EXPECT_EQ(clip.value().frames.size(), 4U);
    }
  }
}

TEST_P(NvdecFaults, DamagedFilesGiveTheFramesAndWarningsOfTheCpu) {
  const std::vector<std::uint8_t> whole = ReadFile(Clip("damage.ts", "-g 12"));
  for (const unsigned seed : {1U, 2U, 3U, 4U, 5U, 6U}) {
    SCOPED_TRACE(seed);
    std::vector<std::uint8_t> bytes = whole;
    for (std::size_t i = 20000 + seed * 997; i < bytes.size(); i += 9001 + seed * 13) bytes[i] ^= 0x55;
    const auto cpu = ReadClips(Borrow(bytes), Small());
    const auto gpu = fake_.Open();
    const auto clips = ReadClips(Borrow(bytes), Small(gpu));
    ASSERT_EQ(clips.size(), cpu.size());
    ExpectSameClip(clips.at(0), cpu.at(0));
    if (GetParam() == Place::kHandedOver) ExpectSameHandedOver(Borrow(bytes), Small(gpu), {}, clips);
  }
}

TEST_P(NvdecFaults, AMissingLibraryIsNoErrorAndTheReasonHelps) {
  GpuOptions options;
  options.cuda_library = fake_.cuda_path;
  options.nvcuvid_library = "/nowhere/libnvcuvid.so.1";
  auto gpu = Gpu::Open(options);
  ASSERT_TRUE(gpu.ok());
  EXPECT_EQ(gpu.value()->nvdec(), nullptr);
  EXPECT_NE(gpu.value()->nvdec_reason().find("NVIDIA_DRIVER_CAPABILITIES"), std::string::npos);
  EXPECT_TRUE(gpu.value()->capabilities().empty());
  auto clip = Read(Clip(), Small(gpu.value()));
  ASSERT_TRUE(clip.ok());
  EXPECT_EQ(clip.value().report.decoder, "software");
  EXPECT_EQ(clip.value().report.decoder_reason, gpu.value()->nvdec_reason());

  options.nvcuvid_library = fake_.cuda_path;  // a library without the functions
  gpu = Gpu::Open(options);
  ASSERT_TRUE(gpu.ok());
  EXPECT_NE(gpu.value()->nvdec_reason().find("does not export cuvidGetDecoderCaps"), std::string::npos);

  options.nvcuvid_library = fake_.nvcuvid_path;
  options.nvdec = false;
  gpu = Gpu::Open(options);
  ASSERT_TRUE(gpu.ok());
  EXPECT_EQ(gpu.value()->nvdec(), nullptr);
  EXPECT_NE(gpu.value()->nvdec_reason(), "");
}

TEST_P(NvdecFaults, ACodecUnknownToTheDriverIsUnsupported) {
  const ScopedFaults faults("cuvidGetDecoderCaps=1@4");
  const auto gpu = fake_.Open();
  ASSERT_TRUE(gpu->nvdec()) << gpu->nvdec_reason();
  EXPECT_EQ(gpu->nvdec_engines(), 7);
  const ScopedFaults all("cuvidGetDecoderCaps=1@1+");
  EXPECT_NE(fake_.Open()->nvdec_reason(), "");
}

TEST_P(NvdecFaults, CapabilitiesAreQueriedOnceAndDecide) {
  const auto gpu = fake_.Open();
  EXPECT_EQ(gpu->nvdec_engines(), 7);
  for (const NvdecCapability& capability : gpu->capabilities()) {
    const bool hopper_has =
        capability.codec != "av1" && !(capability.codec == "h264" && capability.bit_depth > 8);
    EXPECT_EQ(capability.supported, hopper_has) << capability.codec << " " << capability.bit_depth;
    EXPECT_EQ(capability.max_width >= 2032, hopper_has);
  }
  const auto asked = fake_.counts().caps;
  gpu->capabilities();
  EXPECT_EQ(fake_.counts().caps, asked);

  const ScopedVariable caps("COSMOS_FAKE_NVDEC_CAPS", "hevc:420:8");
  const ScopedVariable engines("COSMOS_FAKE_NVDEC_ENGINES", "3");
  const auto small = fake_.Open();
  EXPECT_EQ(small->nvdec_engines(), 3);
  auto clip = Read(Clip(), Small(small));
  ASSERT_TRUE(clip.ok());
  EXPECT_EQ(clip.value().report.decoder_reason, "NVDEC of NVIDIA H100 does not decode h264 8-bit 4:2:0");
  const ScopedVariable none("COSMOS_FAKE_NVDEC_CAPS", "");
  EXPECT_NE(fake_.Open()->nvdec_reason().find("has no NVDEC"), std::string::npos);
}

TEST_P(NvdecFaults, DecodersAreReusedFromClipToClip) {
  const auto gpu = fake_.Open({.nvdec_workers = 1});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Read(Clip(), Small(gpu)).ok());
  const GpuStats stats = gpu->stats();
  EXPECT_EQ(stats.decoders_created, 1);
  EXPECT_EQ(stats.decoders_reused, 2);
  EXPECT_EQ(stats.nvdec, 3);
  EXPECT_EQ(stats.nvdec_running, 0);
}

TEST_P(NvdecFaults, SeveralGpus) {
  const auto first = fake_.Open({.device = 0});
  const auto second = fake_.Open({.device = 1});
  const auto cpu = ReadClips(MediaPath{Clip().string()}, Small());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) {
        auto clip = Read(Clip(), Small((i + round) % 2 == 0 ? first : second));
        ASSERT_TRUE(clip.ok()) << clip.status().message();
        ExpectSameClip(clip.value(), cpu.at(0));
        EXPECT_EQ(clip.value().clip->device_pixels()->device(), (i + round) % 2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(first->stats().nvdec + second->stats().nvdec, 12);
  auto none = Gpu::Open({.device = 2, .cuda_library = fake_.cuda_path});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().code(), StatusCode::kInvalidArgument);
}

TEST_P(NvdecFaults, ClipsMayGoToTheCpuWhileNvdecIsBusy) {
  const auto gpu = fake_.Open({.nvdec_workers = 1, .cpu_workers = 1});
  JobGuard guard(1e9, 1 << 30);
  const JobGuard::Call call(guard, nullptr);
  // Another clip is a very long video.
  auto turn = gpu->nvdec()->scheduler().Begin({.codec = AV_CODEC_ID_H264, .pixels = 1e13},
                                              DecodePath::kHardware, guard);
  auto clip = Read(Clip(), Small(gpu));
  ASSERT_TRUE(clip.ok());
  EXPECT_EQ(clip.value().report.decoder, "software");
  EXPECT_EQ(clip.value().report.decoder_reason, "NVDEC was busy: the CPU had a free place");
}

TEST_P(NvdecFaults, AWaitForNvdecCanBeCancelledAndIsReported) {
  const auto gpu = fake_.Open({.nvdec_workers = 1});
  auto cancel = std::make_shared<CancelToken>();
  {
    JobGuard guard(1e9, 1 << 30);
    const JobGuard::Call call(guard, nullptr);
    auto turn = gpu->nvdec()->scheduler().Begin({}, DecodePath::kHardware, guard);
    Status status;
    std::thread waits([&] { status = Read(Clip(), Small(gpu), cancel).status(); });
    while (gpu->stats().nvdec_waiting != 1) std::this_thread::yield();
    cancel->Cancel();
    waits.join();
    EXPECT_EQ(status.code(), StatusCode::kCancelled);
    EXPECT_EQ(gpu->stats().nvdec_waiting, 0);
    double waited = 0;
    std::thread patient([&] { waited = Read(Clip(), Small(gpu)).value().report.wait_ms; });
    while (gpu->stats().nvdec_waiting != 1) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    turn = DecodeScheduler::Turn();
    patient.join();
    EXPECT_GE(waited, 25);
  }
}

// NVIDIA's parser and the hardware cannot be stopped within a packet, and libavcodec refuses or reads these.
TEST_P(NvdecFaults, PacketsThatCostTooMuchAreNotHandedOver) {
  constexpr int kWide = 120;
  constexpr int kHigh = 68;
  constexpr int kTooMany = 2300;
  constexpr int kSmall = 12;  // above the least size that the double decodes
  const auto gpu = fake_.Open();
  const auto read = [&](const Bytes& file) -> Result<DecodedClip> {
    const auto bytes = MediaBytes{{reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, nullptr};
    auto cancel = std::make_shared<CancelToken>();
    auto reader = Open(bytes, Small(gpu), std::nullopt, cancel);
    if (!reader.ok()) return reader.TakeStatus();
    auto clip = reader.value()->Next(cancel);
    if (!clip.ok()) return clip.TakeStatus();
    return *std::move(clip).value();
  };
  const Bytes intra = H264Intra(kWide, kHigh);
  std::vector<Bytes> fillers(6000, Bytes("\x0c"));
  fillers.push_back(intra);
  for (const std::vector<Bytes>& units : {H264Skips(kWide, kHigh, kTooMany, true), fillers}) {
    const auto before = fake_.counts().decoded;
    const auto clip = read(H264Matroska(H264Sps(kWide, kHigh), {WithLengths({intra}), WithLengths(units)}));
    ASSERT_FALSE(clip.ok());
    EXPECT_EQ(clip.status().code(), StatusCode::kLimit) << clip.status().message();
    EXPECT_LE(fake_.counts().decoded - before, 1);
  }
  const Bytes small = WithLengths({H264Intra(kSmall, kSmall)});
  const Bytes filler = WithLengths({"\x0c" + Bytes(3 << 20, '\xff')});
  const auto clip = read(H264Matroska(H264Sps(kSmall, kSmall), {small, small + filler, small}));
  ASSERT_TRUE(clip.ok()) << clip.status().message();
  EXPECT_NE(clip.value().report.decoder_reason.find("without compression"), std::string::npos)
      << clip.value().report.decoder_reason;
}

TEST_P(NvdecFaults, CancellationLeavesNothingBehind) {
  const auto path = Clip("long.mp4", "-g 1000");
  const auto gpu = fake_.Open();
  for (const int microseconds : {0, 500, 2000, 5000, 12000}) {
    auto cancel = std::make_shared<CancelToken>();
    std::thread cancels([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
      cancel->Cancel();
    });
    auto clip = Read(path, Small(gpu), cancel);
    cancels.join();
    EXPECT_TRUE(clip.ok() || clip.status().code() == StatusCode::kCancelled);
  }
  EXPECT_EQ(gpu->stats().nvdec_running, 0);
}

TEST_P(NvdecFaults, AFailedOrFinishedReaderReleasesEverything) {
  const auto gpu = fake_.Open();
  const int idle = fake_.cuda().live_handles();
  auto cancel = std::make_shared<CancelToken>();
  auto reader = Open(MediaPath{Clip().string()}, Small(gpu), Windows{.seconds = 0.8, .stride = 0.8}, cancel);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader.value()->Next(cancel).ok());
  EXPECT_EQ(gpu->stats().nvdec_running, 0);  // between clips the slot is free for others
  EXPECT_GT(fake_.cuda().live_handles(), idle);
  cancel->Cancel();
  EXPECT_EQ(reader.value()->Next(cancel).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(fake_.counts().parsers, 0);
  EXPECT_EQ(fake_.cuda().live_handles(), idle);
  EXPECT_EQ(reader.value()->Next(nullptr).status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace cosmos::test
