// A decoder process that does with the server's GPU what no decoder does: it loses its item, and nothing
// else.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "isolation/decoder_pool.h"
#include "isolation/gpu_messages.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

namespace fs = std::filesystem;

struct Attack {
  const char* name;
  StatusCode code;
  const char* says;
};

class HostileToGpu : public testing::Test {
 protected:
  void SetUp() override { fake_.Reset(); }
  void TearDown() override { fake_.ExpectNothingLeft(); }

  static Result<DecodedClip> Read(DecoderPool& pool, const ClipRequest& request) {
    static const std::vector<std::uint8_t> media(1000, 1);
    COSMOS_ASSIGN_OR_RETURN(auto reader, pool.OpenReader(Borrow(media), request, {}, nullptr));
    COSMOS_ASSIGN_OR_RETURN(auto clip, reader->Next(nullptr));
    return *std::move(clip);
  }

  static std::shared_ptr<DecoderPool> OpenHostile(const std::string& name) {
    const fs::path link = ScratchFolder() / "hostile-gpu" / name;
    fs::create_directories(link.parent_path());
    if (!fs::exists(fs::symlink_status(link))) fs::create_symlink(COSMOS_HOSTILE_DECODER, link);
    auto pool = DecoderPool::Open({.executable = link.string(), .max_bytes = std::int64_t{1} << 30});
    EXPECT_TRUE(pool.ok());
    return pool.ok() ? pool.value() : nullptr;
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
};

class NvdecHostile : public HostileToGpu, public testing::WithParamInterface<Attack> {};

TEST_P(NvdecHostile, CostsItsOwnClip) {
  const auto& [name, code, says] = GetParam();
  // Parts need slots beside the clip's own.
  const int slots = std::string(name).starts_with("gpu-part") ? kMaxGpuParts + 2 : 1;
  const auto gpu = fake_.Open({.nvdec_workers = slots});
  ClipRequest request;
  request.shape = {.frames = 2, .height = 16, .width = 16};
  request.gpu = gpu;
  // The others end by themselves, however busy the machine is.
  request.limits.max_wall_seconds = code == StatusCode::kTimeout ? 0.3 : 30;
  request.limits.max_packets_without_frame = 20;
  const auto pool = OpenHostile(name);
  // Twice, because the slots of NVDEC must be free again.
  for (int clip = 0; clip < 2; ++clip) {
    const auto failed = Read(*pool, request);
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.status().code(), code) << failed.status().message();
    EXPECT_NE(failed.status().message().find(says), std::string::npos) << failed.status().message();
    EXPECT_EQ(gpu->stats().nvdec_running, 0);
    EXPECT_EQ(fake_.counts().parsers, 0);
  }
  EXPECT_EQ(pool->stats().busy, 0);
  EXPECT_FALSE(gpu->stats().lost);
}

// Without a GPU there is nothing to ask of one.
TEST_F(HostileToGpu, MayAskNothingWithoutAGpu) {
  ClipRequest request;
  request.shape = {.frames = 2, .height = 16, .width = 16};
  for (const char* name : {"gpu-no-turn", "gpu-clip"}) {
    const auto failed = Read(*OpenHostile(name), request);
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.status().code(), StatusCode::kMedia) << failed.status().message();
  }
  const auto gpu = fake_.Open({.nvdec = false});
  request.gpu = gpu;
  const auto failed = Read(*OpenHostile("gpu-no-turn"), request);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.status().message().find("for NVDEC, which it does not have"), std::string::npos)
      << failed.status().message();
}

std::ptrdiff_t Threads() {
  return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
}

// Notes the most threads and the most memory of the card at any time, until it is stopped.
class Watcher {
 public:
  explicit Watcher(const FakeCuda& cuda) : cuda_(cuda) {}
  void Stop() {
    stopping_ = true;
    thread_.join();
  }
  std::ptrdiff_t threads() const { return threads_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void Watch() {
    while (!stopping_) {
      threads_ = std::max(threads_, Threads());
      bytes_ = std::max(bytes_, cuda_.live_bytes(-1));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  const FakeCuda& cuda_;
  std::atomic<bool> stopping_ = false;
  std::ptrdiff_t threads_ = 0;
  std::size_t bytes_ = 0;
  std::thread thread_{[this] { Watch(); }};
};

class NvdecReopened : public HostileToGpu, public testing::WithParamInterface<const char*> {};

TEST_P(NvdecReopened, HoldsNoMoreThanOneClipMay) {
  constexpr int kStreams = 1 + kMaxGpuParts;
  constexpr std::int64_t kMaxBytes = 100 << 20;  // enough for a decoder of the large pictures
  constexpr std::int64_t kIdleDecoders = (std::int64_t{8192} << 20) / 32;  // a share of the card
  constexpr std::size_t kBeside = 48 << 20;  // the pictures that exceed the limit, and the decoders' outputs
  const auto gpu = fake_.Open({.nvdec_workers = kStreams + 1});
  ClipRequest request;
  request.shape = {.frames = 2, .height = 16, .width = 16};
  request.gpu = gpu;
  request.limits.max_bytes = kMaxBytes;
  request.limits.max_packets_without_frame = 1000;
  const auto pool = OpenHostile(GetParam());
  const std::ptrdiff_t threads = Threads() + 1;  // one will start the next decoder process
  for (int clip = 0; clip < 2; ++clip) {
    Watcher watcher(fake_.cuda());
    const auto failed = Read(*pool, request);
    watcher.Stop();
    EXPECT_NE(failed.status().message().find("SIGABRT"), std::string::npos) << failed.status().message();
    EXPECT_LE(fake_.counts().most_parsers, kStreams);
    EXPECT_LE(fake_.counts().most_bytes, kStreams * kMaxBytes + kIdleDecoders);
    EXPECT_LE(watcher.bytes(), static_cast<std::size_t>(kMaxBytes) + kBeside);
    EXPECT_LE(watcher.threads(), threads + 1 + kMaxGpuParts);
    // What is kept for the next clip is bounded by the memory that it really takes.
    EXPECT_LE(fake_.counts().bytes, kIdleDecoders);
    EXPECT_EQ(fake_.counts().parsers, 0);
    EXPECT_EQ(gpu->stats().nvdec_running, 0);
    EXPECT_LE(Threads(), threads);
  }
}

INSTANTIATE_TEST_SUITE_P(All, NvdecReopened, testing::Values("gpu-reopens", "gpu-part-resizes"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::erase(name, '-');
                           return name;
                         });

constexpr Attack kAttacks[] = {
    {"gpu-nonsense", StatusCode::kMedia, "disagree: about what the GPU is to do"},
    {"gpu-codec", StatusCode::kMedia, "disagree"},
    {"gpu-headers", StatusCode::kMedia, "disagree"},
    {"gpu-mpeg2-setup", StatusCode::kMedia, "about a codec that NVDEC does not have"},
    {"gpu-no-turn", StatusCode::kMedia, "for a stream out of turn"},
    {"gpu-two-turns", StatusCode::kMedia, "for two turns"},
    {"gpu-two-streams", StatusCode::kMedia, "for two streams"},
    {"gpu-huge", StatusCode::kMedia, "that NVDEC does not decode"},
    {"gpu-not-open", StatusCode::kMedia, "that is not open"},
    {"gpu-reset", StatusCode::kMedia, "to reset what is not open"},
    {"gpu-after-turn", StatusCode::kMedia, "to decode out of turn"},
    {"gpu-disorder", StatusCode::kMedia, "packets in disorder"},
    {"gpu-endless", StatusCode::kMedia, "packets without end"},
    {"gpu-no-memory", StatusCode::kMedia, "not sealed"},
    {"gpu-large", StatusCode::kMedia, "larger than maxBytes"},
    {"gpu-frames", StatusCode::kMedia, "for a clip of other frames"},
    {"gpu-nothing", StatusCode::kMedia, "for a clip of nothing"},
    {"gpu-clip", StatusCode::kMedia, "for a clip that it never made"},
    {"gpu-flood", StatusCode::kTimeout, "maxWallSeconds"},
    {"gpu-part-no-turn", StatusCode::kMedia, "for a part out of turn"},
    {"gpu-parts-without-end", StatusCode::kMedia, "for more parts than it may have"},
    {"gpu-part-nonsense", StatusCode::kMedia, "disagree: about what the GPU is to do"},
    {"gpu-part-clip", StatusCode::kMedia, "through the wrong channel"},
    {"gpu-part-turn", StatusCode::kMedia, "to note something on the wrong channel"},
    {"gpu-part-two-streams", StatusCode::kMedia, "for two streams"},
    {"gpu-part-disorder", StatusCode::kMedia, "packets in disorder"},
    {"gpu-part-flood", StatusCode::kTimeout, "maxWallSeconds"},
    {"gpu-part-queues", StatusCode::kTimeout, "maxWallSeconds"},
    {"gpu-part-fails-after", StatusCode::kMedia, "disagree: about what the GPU is to do"},
    {"gpu-part-dies-decoding", StatusCode::kMedia, "SIGABRT"},
    {"gpu-part-hangs", StatusCode::kTimeout, "maxWallSeconds"},
    {"gpu-dies-asking", StatusCode::kMedia, "SIGABRT"},
    {"gpu-dies-in-turn", StatusCode::kMedia, "SIGABRT"},
    {"gpu-dies-open", StatusCode::kMedia, "SIGABRT"},
    {"gpu-dies-decoding", StatusCode::kMedia, "SIGABRT"},
    {"gpu-dies-unanswered", StatusCode::kMedia, "SIGABRT"},
    {"gpu-hangs", StatusCode::kTimeout, "maxWallSeconds"},
};

INSTANTIATE_TEST_SUITE_P(All, NvdecHostile, testing::ValuesIn(kAttacks), [](const auto& each) {
  std::string name = each.param.name;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace cosmos::test
