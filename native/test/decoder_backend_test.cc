// A decoder backend that ClipDecoder does not know: what it decodes, refuses or fails at.
#include <gtest/gtest.h>

#include <atomic>

#include "media/decode/hardware_decoder.h"
#include "media/decode/software_decoder.h"
#include "media/nvdec/nvdec.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

struct Behaviour {
  std::string why_not = {};
  std::string open_error = {};
  int refuse_packet = -1;  // the place of a packet that is refused
  bool gives_up = false;
  int idle = 0;
};

// libavcodec behind the interface of hardware, with frames in host memory.
class TestDecoder final : public HardwareDecoder {
 public:
  TestDecoder(std::unique_ptr<SoftwareDecoder> decoder, const Behaviour& behaviour)
      : decoder_(std::move(decoder)), behaviour_(behaviour) {}

  Status Send(AVPacket& packet, int place, bool wanted) override {
    if (!behaviour_.gives_up && place != behaviour_.refuse_packet)
      return decoder_->Send(packet, place, wanted);
    ++refused_;
    if (reason_.empty()) reason_ = "packet " + std::to_string(place) + " is refused";
    return {};
  }
  Status Drain() override { return decoder_->Drain(); }
  Result<std::optional<Picture>> Receive() override { return decoder_->Receive(); }
  int refused() const override { return refused_ + decoder_->refused(); }
  void Reset() override { decoder_->Reset(); }
  void Release() override { decoder_->Reset(); }
  bool gave_up() const override { return behaviour_.gives_up && refused_ > 0; }
  const std::string& reason() const override { return reason_; }
  CUstream stream() const override { return nullptr; }

 private:
  const std::unique_ptr<SoftwareDecoder> decoder_;
  const Behaviour& behaviour_;
  int refused_ = 0;
  std::string reason_;
};

class TestBackend final : public DecoderBackend {
 public:
  TestBackend(int slots, int cpu_slots) : scheduler_(slots, cpu_slots, NvdecSpeed) {}

  std::string id() const override { return "test"; }
  std::string name() const override { return "TEST"; }
  DecodeScheduler& scheduler() override { return scheduler_; }
  std::string WhyNot(const AVCodecParameters&, const ParameterSets&) override { return behaviour.why_not; }
  double SetupSeconds(const AVCodecParameters&) const override { return 0; }
  int IdleDecoders(const AVCodecParameters&) const override { return behaviour.idle; }
  Result<std::unique_ptr<HardwareDecoder>> Open(const AVCodecParameters& parameters, const FrameIndex& index,
                                                const DecodeLimits& limits, const JobGuard& guard) override {
    ++opened;
    if (!behaviour.open_error.empty()) return Status(StatusCode::kEngine, behaviour.open_error);
    COSMOS_ASSIGN_OR_RETURN(
        auto decoder,
        SoftwareDecoder::Open(parameters,
                              {.reorder_depth = index.reorder_depth(), .limits = limits, .guard = &guard}));
    return std::unique_ptr<HardwareDecoder>(new TestDecoder(std::move(decoder), behaviour));
  }

  Behaviour behaviour;
  std::atomic<int> opened = 0;

 private:
  DecodeScheduler scheduler_;
};

class DecoderBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_.Reset();
    gpu_ = fake_.Open({.backend = backend_});
    ASSERT_TRUE(gpu_);
  }
  void TearDown() override {
    EXPECT_EQ(backend_->scheduler().running(), 0);
    gpu_.reset();
    fake_.ExpectNothingLeft();
  }

  // Reads the clip on the CPU and with the backend, and expects the same clip.
  DecodeReport Check(int backlog = 0) {
    const auto path = MakeClip("backend.mp4",
                               "-f lavfi -i testsrc2=size=96x80:rate=25:duration=4 -pix_fmt yuv420p "
                               "-c:v libx264 -preset veryfast -bf 2 -g 10");
    ClipRequest request;
    request.shape = {.frames = 8, .height = 48, .width = 48};
    const auto cpu = ReadClips(MediaPath{path.string()}, request);
    request.gpu = gpu_;
    request.backlog = backlog;
    const auto clips = ReadClips(MediaPath{path.string()}, request);
    ExpectSameClip(clips.at(0), cpu.at(0));
    return clips.at(0).report;
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
  const std::shared_ptr<TestBackend> backend_ = std::make_shared<TestBackend>(4, 1);
  std::shared_ptr<Gpu> gpu_;
};

TEST_F(DecoderBackendTest, DecodesInPlaceOfNvdec) {
  const DecodeReport report = Check();
  EXPECT_EQ(report.decoder, "test");
  EXPECT_EQ(report.decoder_reason, "");
  EXPECT_EQ(backend_->opened, 1);
  EXPECT_EQ(gpu_->stats().nvdec, 1);
  EXPECT_EQ(gpu_->stats().software, 0);
}

TEST_F(DecoderBackendTest, IdleDecodersShareTheRunsOfAClip) {
  backend_->behaviour.idle = 2;
  EXPECT_EQ(Check().decoder, "test");
  EXPECT_EQ(backend_->opened, 3);
}

TEST_F(DecoderBackendTest, AStreamThatItCannotDecodeGoesToTheCpu) {
  backend_->behaviour.why_not = "TEST does not decode this";
  const DecodeReport report = Check();
  EXPECT_EQ(report.decoder, "software");
  EXPECT_EQ(report.decoder_reason, "TEST does not decode this");
  EXPECT_EQ(backend_->opened, 0);
  EXPECT_EQ(gpu_->stats().software, 1);
}

TEST_F(DecoderBackendTest, ADecoderThatDoesNotOpenIsReplacedByTheCpu) {
  backend_->behaviour.open_error = "TEST has no decoder";
  const DecodeReport report = Check();
  EXPECT_EQ(report.decoder, "software");
  EXPECT_EQ(report.decoder_reason, "TEST has no decoder");
}

TEST_F(DecoderBackendTest, TheCpuDecodesTheRunOfARefusedPacketAgain) {
  for (const int idle : {0, 2}) {
    backend_->behaviour = {.refuse_packet = 41, .idle = idle};
    const DecodeReport report = Check();
    EXPECT_EQ(report.decoder, "test");
    EXPECT_EQ(report.decoder_reason, "damage: packet 41 is refused");
  }
}

TEST_F(DecoderBackendTest, ADecoderThatGivesUpLeavesTheWholeClipToTheCpu) {
  backend_->behaviour.gives_up = true;
  const DecodeReport report = Check();
  EXPECT_EQ(report.decoder, "software");
  EXPECT_EQ(report.decoder_reason, "packet 0 is refused");
}

// The slot is never given back: a clip that waited for it would wait for ever.
TEST_F(DecoderBackendTest, TheCpuTakesOverWhileItIsBusy) {
  struct Case {
    double pixels;  // of what the hardware is at work on
    int backlog;
  };
  for (const auto& [pixels, backlog] : {Case{1e13, 0}, Case{0, 100}}) {
    SCOPED_TRACE(backlog);
    const auto one_slot = std::make_shared<TestBackend>(1, 1);
    gpu_ = fake_.Open({.backend = one_slot});
    JobGuard guard(1e9, 1 << 30);
    const JobGuard::Call call(guard, nullptr);
    auto turn = one_slot->scheduler().Begin({.codec = AV_CODEC_ID_H264, .pixels = pixels},
                                            DecodePath::kHardware, guard);
    EXPECT_EQ(gpu_->stats().nvdec_running, 1);
    const DecodeReport report = Check(backlog);
    EXPECT_EQ(report.decoder, "software");
    EXPECT_EQ(report.decoder_reason, "TEST was busy: the CPU had a free place");
  }
}

}  // namespace
}  // namespace cosmos::test
