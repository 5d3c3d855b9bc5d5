// That the double of libcuda notices what real hardware only punishes now and then.
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
struct Desk {
  Desk() {
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
  const Desk desk;
  desk.RoundTrip(desk.stream.get());
  EXPECT_EQ(desk.gpu.fake.pending(), 2);
  EXPECT_FALSE(desk.HasResult());
  EXPECT_EQ(desk.api.StreamSynchronize(desk.stream.get()), CUDA_SUCCESS);
  EXPECT_TRUE(desk.HasResult());
}

TEST(CudaFake, AQueriedEventComesNearerStepByStep) {
  const Desk desk;
  const auto event = cuda::MakeEvent(desk.gpu.device).value();
  EXPECT_EQ(desk.api.EventQuery(event.get()), CUDA_SUCCESS) << "nothing was recorded";
  desk.RoundTrip(desk.stream.get());
  EXPECT_EQ(desk.api.EventRecord(event.get(), desk.stream.get()), CUDA_SUCCESS);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(desk.api.EventQuery(event.get()), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(desk.api.EventQuery(event.get()), CUDA_SUCCESS);
  EXPECT_TRUE(desk.HasResult());
}

TEST(CudaFake, StreamsRunInTheirOwnOrder) {
  const Desk desk;
  const auto other = cuda::MakeStream(desk.gpu.device).value();
  const auto event = cuda::MakeEvent(desk.gpu.device).value();
  EXPECT_EQ(
      desk.api.MemcpyHtoDAsync(desk.buffer.address(), desk.pinned.data(), Desk::kBytes, desk.stream.get()),
      CUDA_SUCCESS);
  // Without a wait the other stream reads what nobody has written.
  const auto read = [&] {
    EXPECT_EQ(desk.api.MemcpyDtoHAsync(desk.result(), desk.buffer.address(), Desk::kBytes, other.get()),
              CUDA_SUCCESS);
    EXPECT_EQ(desk.api.StreamSynchronize(other.get()), CUDA_SUCCESS);
  };
  read();
  EXPECT_EQ(desk.result()[0], std::byte{0xCD});
  EXPECT_EQ(desk.api.EventRecord(event.get(), desk.stream.get()), CUDA_SUCCESS);
  EXPECT_EQ(desk.api.StreamWaitEvent(other.get(), event.get(), 0), CUDA_SUCCESS);
  read();
  EXPECT_TRUE(desk.HasResult());
}

TEST(CudaFake, CopiesRectangles) {
  const Desk desk;
  for (int i = 0; i < 16; ++i) desk.pinned.data()[i] = static_cast<std::byte>(i);
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = desk.pinned.data();
  copy.srcPitch = 8;
  copy.srcXInBytes = 2;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = desk.buffer.address();
  copy.dstPitch = 3;
  copy.WidthInBytes = 3;
  copy.Height = 2;
  EXPECT_EQ(desk.api.Memcpy2DAsync(&copy, desk.stream.get()), CUDA_SUCCESS);
  EXPECT_EQ(desk.api.MemcpyDtoHAsync(desk.result(), desk.buffer.address(), 6, desk.stream.get()),
            CUDA_SUCCESS);
  EXPECT_EQ(desk.api.StreamSynchronize(desk.stream.get()), CUDA_SUCCESS);
  constexpr std::array<std::uint8_t, 6> kExpected = {2, 3, 4, 10, 11, 12};
  EXPECT_EQ(std::memcmp(desk.result(), kExpected.data(), kExpected.size()), 0);
  copy.Height = 6;  // 18 bytes of 16
  EXPECT_EQ(desk.api.Memcpy2DAsync(&copy, desk.stream.get()), 1);
}

TEST(CudaFake, NoticesMemoryThatIsFreedTooEarly) {
  const ScopedVariable keep_going("COSMOS_FAKE_CUDA_KEEP_GOING", "1");
  Desk desk;
  desk.RoundTrip(desk.stream.get());
  desk.stream = cuda::Stream();  // which does not end its work
  EXPECT_STREQ(desk.gpu.fake.errors(), "");
  desk.buffer = DeviceBuffer();
  EXPECT_STREQ(desk.gpu.fake.errors(),
               "memory is freed that pending work still touches: cuMemcpyHtoDAsync_v2\n");
  desk.gpu.fake.reset();
  EXPECT_STREQ(desk.gpu.fake.errors(), "");

  desk.stream = cuda::MakeStream(desk.gpu.device).value();
  desk.buffer = DeviceBuffer::Allocate(desk.gpu.device, Desk::kBytes).value();
  EXPECT_EQ(desk.api.MemcpyHtoDAsync(desk.buffer.address(), desk.pinned.data(), 1, desk.stream.get()),
            CUDA_SUCCESS);
  desk.pinned = PinnedBuffer();
  EXPECT_STREQ(desk.gpu.fake.errors(),
               "memory is freed that pending work still touches: cuMemcpyHtoDAsync_v2\n");
}

TEST(CudaFake, NoticesMemoryThatIsNotThere) {
  const ScopedVariable keep_going("COSMOS_FAKE_CUDA_KEEP_GOING", "1");
  const Desk desk;
  CUdeviceptr address = 0;
  EXPECT_EQ(desk.api.MemAlloc(&address, 8), CUDA_SUCCESS);
  EXPECT_EQ(desk.api.MemFree(address), CUDA_SUCCESS);
  EXPECT_EQ(desk.api.MemFree(address), 1);
  EXPECT_EQ(desk.api.MemFreeHost(desk.pinned.data() + 1), 1);
  EXPECT_EQ(desk.api.MemsetD8Async(desk.buffer.address() + 1, 0, Desk::kBytes, desk.stream.get()), 1);
  EXPECT_EQ(desk.api.MemcpyDtoDAsync(desk.buffer.address(), address, 1, desk.stream.get()), 1);
  const std::string errors = desk.gpu.fake.errors();
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 2) << errors;
}

TEST(CudaFake, MisuseEndsTheProcess) {
  const Desk desk;
  EXPECT_DEATH(desk.api.MemFree(1), "libcuda double: device memory is freed that is not allocated");
}

TEST(CudaFake, WantsAContextOnEveryThread) {
  const Desk desk;
  CUdeviceptr address = 0;
  std::thread([&] {
    EXPECT_EQ(desk.api.MemAlloc(&address, 8), 201);
    EXPECT_EQ(desk.api.StreamSynchronize(desk.stream.get()), 201);
  }).join();
}

TEST(CudaFake, ReplaysGraphs) {
  const Desk desk;
  CUgraph_st* graph = nullptr;
  CUgraphExec_st* executable = nullptr;
  ASSERT_EQ(desk.api.StreamBeginCapture(desk.stream.get(), cuda::kCaptureThreadLocal), CUDA_SUCCESS);
  desk.RoundTrip(desk.stream.get());
  ASSERT_EQ(desk.api.StreamEndCapture(desk.stream.get(), &graph), CUDA_SUCCESS);
  ASSERT_EQ(desk.api.GraphInstantiate(&executable, graph, 0), CUDA_SUCCESS);
  EXPECT_EQ(desk.api.GraphDestroy(graph), CUDA_SUCCESS);
  EXPECT_EQ(desk.gpu.fake.pending(), 0) << "what is captured does not run";
  for (const char letter : {'x', 'y'}) {
    std::memset(desk.pinned.data(), letter, Desk::kBytes);
    ASSERT_EQ(desk.api.GraphLaunch(executable, desk.stream.get()), CUDA_SUCCESS);
    EXPECT_FALSE(desk.HasResult());
    ASSERT_EQ(desk.api.StreamSynchronize(desk.stream.get()), CUDA_SUCCESS);
    EXPECT_TRUE(desk.HasResult());
  }
  EXPECT_EQ(desk.api.GraphExecDestroy(executable), CUDA_SUCCESS);
  EXPECT_EQ(desk.gpu.fake.live_handles(), 1);
}

TEST(CudaFake, CaptureEndsWithAForbiddenCall) {
  const Desk desk;
  CUgraph_st* graph = nullptr;
  CUdeviceptr address = 0;
  EXPECT_EQ(desk.api.StreamEndCapture(desk.stream.get(), &graph), 401);
  for (int call = 0; call < 2; ++call) {
    ASSERT_EQ(desk.api.StreamBeginCapture(desk.stream.get(), cuda::kCaptureThreadLocal), CUDA_SUCCESS);
    EXPECT_EQ(call == 0 ? desk.api.MemAlloc(&address, 8) : desk.api.StreamSynchronize(desk.stream.get()),
              900);
    EXPECT_EQ(desk.api.MemsetD8Async(desk.buffer.address(), 0, 1, desk.stream.get()), 901);
    EXPECT_EQ(desk.api.StreamEndCapture(desk.stream.get(), &graph), 901);
    EXPECT_EQ(graph, nullptr);
  }
  desk.RoundTrip(desk.stream.get());
  EXPECT_EQ(desk.api.StreamSynchronize(desk.stream.get()), CUDA_SUCCESS);
  EXPECT_TRUE(desk.HasResult());
}

TEST(CudaFake, APoisonedContextStaysSo) {
  const Desk desk;
  {
    const ScopedFaults faults("cuMemsetD8Async=716@1");
    EXPECT_EQ(desk.api.MemsetD8Async(desk.buffer.address(), 0, 1, desk.stream.get()), 716);
  }
  EXPECT_EQ(desk.api.StreamSynchronize(desk.stream.get()), 716);
  EXPECT_EQ(desk.api.MemFree(desk.buffer.address()), 716);
  desk.gpu.fake.reset();
}

TEST(CudaFake, ACaptureOfAnotherThreadForbidsOnlyWhatItsModeSays) {
  const Desk desk;
  const auto captured = cuda::MakeStream(desk.gpu.device).value();
  constexpr unsigned kGlobal = 0;
  for (const unsigned mode : {kGlobal, unsigned{cuda::kCaptureThreadLocal}}) {
    ASSERT_EQ(desk.api.StreamBeginCapture(captured.get(), mode), CUDA_SUCCESS);
    std::thread other([&] {
      ASSERT_TRUE(desk.gpu.device.MakeCurrent().ok());
      const bool works = DeviceBuffer::Allocate(desk.gpu.device, 16).ok();
      EXPECT_EQ(works, mode != kGlobal);
    });
    other.join();
    CUgraph_st* graph = nullptr;
    EXPECT_EQ(desk.api.StreamEndCapture(captured.get(), &graph), mode == kGlobal ? 901 : CUDA_SUCCESS);
    if (graph) {
      EXPECT_EQ(desk.api.GraphDestroy(graph), CUDA_SUCCESS);
    }
  }
}

}  // namespace
}  // namespace cosmos
