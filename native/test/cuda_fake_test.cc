// Tests of the fake libcuda: it reliably detects mistakes that real hardware punishes only sometimes.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <thread>

#include "cuda_support.h"

namespace cosmos {
namespace {

using cuda::DeviceBuffer;
using cuda::PinnedBuffer;
using test::FakeDevice;
using test::ScopedFaults;
using test::ScopedVariable;

// A device with a buffer, page-locked memory and a stream.
struct Fixture {
  Fixture() {
    std::memset(pinned.data(), 0, pinned.bytes());
    std::memset(pinned.data(), 'a', kBytes);
  }
  static constexpr std::size_t kBytes = 16;
  const FakeDevice gpu;
  const cuda::Api& api = gpu.device.api();
  DeviceBuffer buffer = DeviceBuffer::Allocate(gpu.device, kBytes).value();
  PinnedBuffer pinned = PinnedBuffer::Allocate(gpu.device, 2 * kBytes).value();
  cuda::Stream stream = cuda::MakeStream(gpu.device).value();

  std::byte* result() const { return pinned.data() + kBytes; }
  // Host to device and back, into result().
  void RoundTrip(CUstream on) const {
    EXPECT_EQ(api.MemcpyHtoDAsync(buffer.address(), pinned.data(), kBytes, on), CUDA_SUCCESS);
    EXPECT_EQ(api.MemcpyDtoHAsync(result(), buffer.address(), kBytes, on), CUDA_SUCCESS);
  }
  bool HasResult() const { return std::memcmp(pinned.data(), result(), kBytes) == 0; }
};

TEST(CudaFake, WorkRunsWhenSomethingWaits) {
  const Fixture fixture;
  fixture.RoundTrip(fixture.stream.get());
  EXPECT_EQ(fixture.gpu.fake.pending(), 2);
  EXPECT_FALSE(fixture.HasResult());
  EXPECT_EQ(fixture.api.StreamSynchronize(fixture.stream.get()), CUDA_SUCCESS);
  EXPECT_TRUE(fixture.HasResult());
}

TEST(CudaFake, EachQueryOfAnEventRunsOnePieceOfWork) {
  const Fixture fixture;
  const auto event = cuda::MakeEvent(fixture.gpu.device).value();
  EXPECT_EQ(fixture.api.EventQuery(event.get()), CUDA_SUCCESS) << "nothing was recorded";
  fixture.RoundTrip(fixture.stream.get());
  EXPECT_EQ(fixture.api.EventRecord(event.get(), fixture.stream.get()), CUDA_SUCCESS);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fixture.api.EventQuery(event.get()), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(fixture.api.EventQuery(event.get()), CUDA_SUCCESS);
  EXPECT_TRUE(fixture.HasResult());
}

TEST(CudaFake, StreamsRunInTheirOwnOrder) {
  const Fixture fixture;
  const auto other = cuda::MakeStream(fixture.gpu.device).value();
  const auto event = cuda::MakeEvent(fixture.gpu.device).value();
  EXPECT_EQ(fixture.api.MemcpyHtoDAsync(fixture.buffer.address(), fixture.pinned.data(), Fixture::kBytes,
                                        fixture.stream.get()),
            CUDA_SUCCESS);
  // Without a wait the other stream reads memory that is not written yet.
  const auto read = [&] {
    EXPECT_EQ(
        fixture.api.MemcpyDtoHAsync(fixture.result(), fixture.buffer.address(), Fixture::kBytes, other.get()),
        CUDA_SUCCESS);
    EXPECT_EQ(fixture.api.StreamSynchronize(other.get()), CUDA_SUCCESS);
  };
  read();
  EXPECT_EQ(fixture.result()[0], std::byte{0xCD});
  EXPECT_EQ(fixture.api.EventRecord(event.get(), fixture.stream.get()), CUDA_SUCCESS);
  EXPECT_EQ(fixture.api.StreamWaitEvent(other.get(), event.get(), 0), CUDA_SUCCESS);
  read();
  EXPECT_TRUE(fixture.HasResult());
}

TEST(CudaFake, CopiesRectangles) {
  const Fixture fixture;
  for (int i = 0; i < 16; ++i) fixture.pinned.data()[i] = static_cast<std::byte>(i);
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = fixture.pinned.data();
  copy.srcPitch = 8;
  copy.srcXInBytes = 2;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = fixture.buffer.address();
  copy.dstPitch = 3;
  copy.WidthInBytes = 3;
  copy.Height = 2;
  EXPECT_EQ(fixture.api.Memcpy2DAsync(&copy, fixture.stream.get()), CUDA_SUCCESS);
  EXPECT_EQ(fixture.api.MemcpyDtoHAsync(fixture.result(), fixture.buffer.address(), 6, fixture.stream.get()),
            CUDA_SUCCESS);
  EXPECT_EQ(fixture.api.StreamSynchronize(fixture.stream.get()), CUDA_SUCCESS);
  constexpr std::array<std::uint8_t, 6> kExpected = {2, 3, 4, 10, 11, 12};
  EXPECT_EQ(std::memcmp(fixture.result(), kExpected.data(), kExpected.size()), 0);
  copy.Height = 6;  // 18 bytes of 16
  EXPECT_EQ(fixture.api.Memcpy2DAsync(&copy, fixture.stream.get()), 1);
}

TEST(CudaFake, DetectsMemoryThatIsFreedTooEarly) {
  const ScopedVariable keep_going("COSMOS_FAKE_CUDA_KEEP_GOING", "1");
  Fixture fixture;
  fixture.RoundTrip(fixture.stream.get());
  fixture.stream = cuda::Stream();  // does not end its work
  EXPECT_STREQ(fixture.gpu.fake.errors(), "");
  fixture.buffer = DeviceBuffer();
  EXPECT_STREQ(fixture.gpu.fake.errors(),
               "memory is freed that pending work still touches: cuMemcpyHtoDAsync_v2\n");
  fixture.gpu.fake.reset();
  EXPECT_STREQ(fixture.gpu.fake.errors(), "");

  fixture.stream = cuda::MakeStream(fixture.gpu.device).value();
  fixture.buffer = DeviceBuffer::Allocate(fixture.gpu.device, Fixture::kBytes).value();
  EXPECT_EQ(
      fixture.api.MemcpyHtoDAsync(fixture.buffer.address(), fixture.pinned.data(), 1, fixture.stream.get()),
      CUDA_SUCCESS);
  fixture.pinned = PinnedBuffer();
  EXPECT_STREQ(fixture.gpu.fake.errors(),
               "memory is freed that pending work still touches: cuMemcpyHtoDAsync_v2\n");
}

TEST(CudaFake, DetectsMemoryThatIsNotAllocated) {
  const ScopedVariable keep_going("COSMOS_FAKE_CUDA_KEEP_GOING", "1");
  const Fixture fixture;
  CUdeviceptr address = 0;
  EXPECT_EQ(fixture.api.MemAlloc(&address, 8), CUDA_SUCCESS);
  EXPECT_EQ(fixture.api.MemFree(address), CUDA_SUCCESS);
  EXPECT_EQ(fixture.api.MemFree(address), 1);
  EXPECT_EQ(fixture.api.MemFreeHost(fixture.pinned.data() + 1), 1);
  EXPECT_EQ(fixture.api.MemsetD8Async(fixture.buffer.address() + 1, 0, Fixture::kBytes, fixture.stream.get()),
            1);
  EXPECT_EQ(fixture.api.MemcpyDtoDAsync(fixture.buffer.address(), address, 1, fixture.stream.get()), 1);
  const std::string errors = fixture.gpu.fake.errors();
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 2) << errors;
}

TEST(CudaFake, MisuseEndsTheProcess) {
  const Fixture fixture;
  EXPECT_DEATH(fixture.api.MemFree(1), "fake libcuda: device memory is freed that is not allocated");
}

TEST(CudaFake, RequiresAContextOnEveryThread) {
  const Fixture fixture;
  CUdeviceptr address = 0;
  std::thread([&] {
    EXPECT_EQ(fixture.api.MemAlloc(&address, 8), 201);
    EXPECT_EQ(fixture.api.StreamSynchronize(fixture.stream.get()), 201);
  }).join();
}

TEST(CudaFake, ReplaysGraphs) {
  const Fixture fixture;
  CUgraph_st* graph = nullptr;
  CUgraphExec_st* executable = nullptr;
  ASSERT_EQ(fixture.api.StreamBeginCapture(fixture.stream.get(), cuda::kCaptureThreadLocal), CUDA_SUCCESS);
  fixture.RoundTrip(fixture.stream.get());
  ASSERT_EQ(fixture.api.StreamEndCapture(fixture.stream.get(), &graph), CUDA_SUCCESS);
  ASSERT_EQ(fixture.api.GraphInstantiate(&executable, graph, 0), CUDA_SUCCESS);
  EXPECT_EQ(fixture.api.GraphDestroy(graph), CUDA_SUCCESS);
  EXPECT_EQ(fixture.gpu.fake.pending(), 0) << "what is captured does not run";
  for (const char letter : {'x', 'y'}) {
    std::memset(fixture.pinned.data(), letter, Fixture::kBytes);
    ASSERT_EQ(fixture.api.GraphLaunch(executable, fixture.stream.get()), CUDA_SUCCESS);
    EXPECT_FALSE(fixture.HasResult());
    ASSERT_EQ(fixture.api.StreamSynchronize(fixture.stream.get()), CUDA_SUCCESS);
    EXPECT_TRUE(fixture.HasResult());
  }
  EXPECT_EQ(fixture.api.GraphExecDestroy(executable), CUDA_SUCCESS);
  EXPECT_EQ(fixture.gpu.fake.live_handles(), 1);
}

TEST(CudaFake, CaptureEndsWithAForbiddenCall) {
  const Fixture fixture;
  CUgraph_st* graph = nullptr;
  CUdeviceptr address = 0;
  EXPECT_EQ(fixture.api.StreamEndCapture(fixture.stream.get(), &graph), 401);
  for (int call = 0; call < 2; ++call) {
    ASSERT_EQ(fixture.api.StreamBeginCapture(fixture.stream.get(), cuda::kCaptureThreadLocal), CUDA_SUCCESS);
    EXPECT_EQ(
        call == 0 ? fixture.api.MemAlloc(&address, 8) : fixture.api.StreamSynchronize(fixture.stream.get()),
        900);
    EXPECT_EQ(fixture.api.MemsetD8Async(fixture.buffer.address(), 0, 1, fixture.stream.get()), 901);
    EXPECT_EQ(fixture.api.StreamEndCapture(fixture.stream.get(), &graph), 901);
    EXPECT_EQ(graph, nullptr);
  }
  fixture.RoundTrip(fixture.stream.get());
  EXPECT_EQ(fixture.api.StreamSynchronize(fixture.stream.get()), CUDA_SUCCESS);
  EXPECT_TRUE(fixture.HasResult());
}

TEST(CudaFake, StickyErrorsStay) {
  const Fixture fixture;
  {
    const ScopedFaults faults("cuMemsetD8Async=716@1");
    EXPECT_EQ(fixture.api.MemsetD8Async(fixture.buffer.address(), 0, 1, fixture.stream.get()), 716);
  }
  EXPECT_EQ(fixture.api.StreamSynchronize(fixture.stream.get()), 716);
  EXPECT_EQ(fixture.api.MemFree(fixture.buffer.address()), 716);
  fixture.gpu.fake.reset();
}

TEST(CudaFake, TheModeOfACaptureDecidesWhatOtherThreadsMayCall) {
  const Fixture fixture;
  const auto captured = cuda::MakeStream(fixture.gpu.device).value();
  constexpr unsigned kGlobal = 0;
  for (const unsigned mode : {kGlobal, unsigned{cuda::kCaptureThreadLocal}}) {
    ASSERT_EQ(fixture.api.StreamBeginCapture(captured.get(), mode), CUDA_SUCCESS);
    std::thread other([&] {
      ASSERT_TRUE(fixture.gpu.device.MakeCurrent().ok());
      const bool works = DeviceBuffer::Allocate(fixture.gpu.device, 16).ok();
      EXPECT_EQ(works, mode != kGlobal);
    });
    other.join();
    CUgraph_st* graph = nullptr;
    EXPECT_EQ(fixture.api.StreamEndCapture(captured.get(), &graph), mode == kGlobal ? 901 : CUDA_SUCCESS);
    if (graph) {
      EXPECT_EQ(fixture.api.GraphDestroy(graph), CUDA_SUCCESS);
    }
  }
}

}  // namespace
}  // namespace cosmos
