// The pool of NVDEC decoders: reuse, reconfiguration and bounds.
#include "media/nvdec/nvdec_pool.h"

#include <gtest/gtest.h>

#include <thread>

#include "nvdec_support.h"

namespace cosmos::test {
namespace {

DecoderShape Shape(int width, int height) {
  DecoderShape shape;
  shape.width = width;
  shape.height = height;
  shape.surfaces = 8;
  shape.display_area = {0, 0, width, height};
  shape.target = shape.display_area;
  return shape;
}

Status Continue() { return {}; }

class NvdecPoolTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_.Reset();
    auto driver = cuda::Driver::Open(fake_.cuda_path);
    auto device = cuda::Device::Open(*driver.value(), 0);
    device_ = device.value();
    library_ = Nvcuvid::Open(fake_.nvcuvid_path).value();
    ASSERT_TRUE(device_->MakeCurrent().ok());
    Make({});
  }
  void TearDown() override {
    pool_.reset();
    fake_.ExpectNothingLeft();
  }
  void Make(const NvdecPool::Limits& limits) {
    pool_ = std::make_unique<NvdecPool>(*library_, *device_, limits, [this] { ++room_requests_; });
  }
  // Takes a decoder, returns it to the pool, and returns its handle.
  CUvideodecoder Use(const DecoderShape& shape) {
    auto lease = pool_->Take(shape, Continue);
    EXPECT_TRUE(lease.ok());
    return lease.ok() ? lease.value().handle() : nullptr;
  }
  void ExpectCounts(int created, int reused, int reconfigured) {
    EXPECT_EQ(pool_->counts().created, created);
    EXPECT_EQ(pool_->counts().reused, reused);
    EXPECT_EQ(pool_->counts().reconfigured, reconfigured);
    EXPECT_EQ(fake_.counts().created, created);
    EXPECT_EQ(fake_.counts().reconfigured, reconfigured);
  }

  const FakeNvdec& fake_ = FakeNvdec::Get();
  cuda::Device* device_ = nullptr;
  const Nvcuvid* library_ = nullptr;
  std::unique_ptr<NvdecPool> pool_;
  int room_requests_ = 0;
};

TEST_F(NvdecPoolTest, ReusesEqualShapesAndReconfiguresOthersUpToTheirMaximum) {
  const CUvideodecoder first = Use(Shape(640, 480));
  EXPECT_EQ(Use(Shape(640, 480)), first);
  ExpectCounts(1, 1, 0);
  EXPECT_EQ(Use(Shape(1280, 720)), first);  // small decoders are created with room for this size
  ExpectCounts(1, 1, 1);
  EXPECT_NE(Use(Shape(1920, 1088)), first);
  ExpectCounts(2, 1, 1);
  EXPECT_EQ(Use(Shape(1280, 720)), first);
  ExpectCounts(2, 2, 1);
}

TEST_F(NvdecPoolTest, EveryFieldOfTheShapeMatters) {
  const DecoderShape shape = Shape(640, 480);
  const CUvideodecoder handle = Use(shape);
  DecoderShape cropped = shape;
  cropped.display_area.bottom = 470;  // two videos of one coded size that are cropped differently
  EXPECT_EQ(Use(cropped), handle);
  ExpectCounts(1, 0, 1);
  DecoderShape more = shape;
  more.surfaces = 9;
  EXPECT_EQ(Use(more), handle);
  ExpectCounts(1, 0, 2);
  {
    // Videos of one size differ in the surfaces that they need; surplus ones are kept.
    const auto lease = pool_->Take(shape, Continue);
    EXPECT_EQ(lease.value().handle(), handle);
    EXPECT_EQ(lease.value().shape().surfaces, 9);
  }
  ExpectCounts(1, 1, 2);
  DecoderShape hevc = shape;
  hevc.codec = cudaVideoCodec_HEVC;
  EXPECT_NE(Use(hevc), handle);
  DecoderShape deep = hevc;
  deep.bit_depth = 10;
  deep.surface = cudaVideoSurfaceFormat_P016;
  Use(deep);
  DecoderShape full = hevc;
  full.chroma = cudaVideoChromaFormat_444;
  full.surface = cudaVideoSurfaceFormat_YUV444;
  Use(full);
  ExpectCounts(4, 1, 2);
}

// A decoder that was reconfigured to small pictures keeps the memory of the largest.
TEST_F(NvdecPoolTest, CountsIdleDecodersByWhatTheyWereMadeFor) {
  Make({.max_idle_bytes = 2 * Shape(4096, 2304).bytes()});
  {
    std::vector<NvdecPool::Lease> leases;
    for (int i = 0; i < 5; ++i) leases.push_back(pool_->Take(Shape(4096, 2304), Continue).value());
  }
  EXPECT_EQ(fake_.counts().decoders, 2);
  {
    std::vector<NvdecPool::Lease> leases;
    for (int i = 0; i < 5; ++i) {
      Use(Shape(4096, 2304));
      leases.push_back(pool_->Take(Shape(640, 480), Continue).value());
    }
    EXPECT_EQ(fake_.counts().decoders, 5);
  }
  EXPECT_EQ(fake_.counts().decoders, 2);
}

TEST_F(NvdecPoolTest, DestroysTheLeastRecentlyUsedFirst) {
  Make({.max_idle = 2});
  DecoderShape h264 = Shape(640, 480);
  DecoderShape hevc = h264;
  hevc.codec = cudaVideoCodec_HEVC;
  DecoderShape vp9 = h264;
  vp9.codec = cudaVideoCodec_VP9;
  const CUvideodecoder first = Use(h264);
  Use(hevc);
  EXPECT_EQ(Use(h264), first);  // used again: now HEVC's is the oldest
  Use(vp9);
  EXPECT_EQ(fake_.counts().decoders, 2);
  EXPECT_EQ(Use(h264), first);
  ExpectCounts(3, 2, 0);
  Use(hevc);
  ExpectCounts(4, 2, 0);
}

TEST_F(NvdecPoolTest, IdleBytesAreBounded) {
  Make({.max_idle = 100, .max_idle_bytes = 3 * Shape(1280, 720).bytes()});
  {
    std::vector<NvdecPool::Lease> leases;
    for (int i = 0; i < 5; ++i) leases.push_back(pool_->Take(Shape(1280, 720), Continue).value());
    EXPECT_EQ(fake_.counts().decoders, 5);
  }
  EXPECT_EQ(fake_.counts().decoders, 3);
  pool_->Trim();
  EXPECT_EQ(fake_.counts().decoders, 0);
}

TEST_F(NvdecPoolTest, FailedDecodersAreNotLentAgain) {
  {
    auto lease = pool_->Take(Shape(640, 480), Continue);
    lease.value().MarkFailed();
  }
  EXPECT_EQ(fake_.counts().decoders, 0);
}

TEST_F(NvdecPoolTest, OutOfMemoryDestroysIdleDecodersAndRetriesOnce) {
  Use(Shape(640, 480));
  DecoderShape hevc = Shape(640, 480);
  hevc.codec = cudaVideoCodec_HEVC;
  {
    const ScopedFaults faults("cuvidCreateDecoder=2@1");
    Use(hevc);
  }
  EXPECT_EQ(room_requests_, 1);
  EXPECT_EQ(fake_.counts().decoders, 1);
  pool_->Trim();
  const ScopedFaults faults("cuvidCreateDecoder=2@1+");
  auto lease = pool_->Take(hevc, Continue);
  ASSERT_FALSE(lease.ok());
  EXPECT_EQ(lease.status().code(), StatusCode::kOutOfMemory);
  EXPECT_EQ(room_requests_, 2);
}

TEST_F(NvdecPoolTest, DestroysADecoderThatCannotBeReconfiguredBeforeCreatingAnother) {
  int left = -1;
  pool_ = std::make_unique<NvdecPool>(*library_, *device_, NvdecPool::Limits(),
                                      [&] { left = fake_.counts().decoders; });
  Use(Shape(640, 480));
  const ScopedFaults faults("cuvidReconfigureDecoder=2@1 cuvidCreateDecoder=2@1");
  Use(Shape(320, 240));
  EXPECT_EQ(left, 0);
}

TEST_F(NvdecPoolTest, ReplacesADecoderThatCannotBeReconfigured) {
  Use(Shape(640, 480));
  const ScopedFaults faults("cuvidReconfigureDecoder=999@1");
  Use(Shape(320, 240));
  ExpectCounts(2, 0, 0);
  EXPECT_EQ(fake_.counts().decoders, 1);
}

TEST_F(NvdecPoolTest, ManyThreadsLeaveNothingBehind) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      ASSERT_TRUE(device_->MakeCurrent().ok());
      for (int round = 0; round < 20; ++round) {
        auto lease = pool_->Take(Shape(320 + 16 * ((i + round) % 3), 240), Continue);
        ASSERT_TRUE(lease.ok());
        if (round % 7 == i % 7) lease.value().MarkFailed();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const NvdecPool::Counts counts = pool_->counts();
  EXPECT_EQ(counts.created + counts.reused + counts.reconfigured, 160);
}

}  // namespace
}  // namespace cosmos::test
