#include "cuda/device.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>

#include "cuda_support.h"

namespace cosmos {
namespace {

using cuda::BufferPool;
using cuda::Device;
using cuda::DeviceBuffer;
using cuda::Driver;
using cuda::PinnedBuffer;
using test::FakeCuda;
using test::FakeDevice;
using test::FreshFakeCuda;
using test::ScopedFaults;
using test::ScopedVariable;

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(CudaDevice, IsDescribedWithoutAContext) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES", "NVIDIA H200:9.0:141000;NVIDIA L4:8.9:22000");
  const std::string path = FreshFakeCuda();
  Driver& driver = *Driver::Open(path).value();
  const auto first = cuda::DescribeDevice(driver, 0).value();
  const auto second = cuda::DescribeDevice(driver, 1).value();
  EXPECT_EQ(first.name, "NVIDIA H200");
  EXPECT_EQ(first.compute_capability(), "9.0");
  EXPECT_EQ(first.total_bytes, 141000 * kMiB);
  EXPECT_EQ(first.uuid, "GPU-f0e3d6c9-bcaf-a295-887b-6e6154473a00");
  EXPECT_EQ(second.name, "NVIDIA L4");
  EXPECT_EQ(second.compute_capability(), "8.9");
  EXPECT_EQ(second.ordinal, 1);
  EXPECT_NE(second.uuid, first.uuid);
  EXPECT_EQ(FakeCuda(path).calls("cuDevicePrimaryCtxRetain"), 0);
}

// The name tells an instance of a divided GPU (MIG): the driver reports its UUID without the prefix.
TEST(CudaDevice, HasTheUuidThatSelectsIt) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES",
                               "NVIDIA H100 NVL:9.0:94000;NVIDIA H100 NVL MIG 3g.47gb:9.0:47000");
  for (const std::string uuid :
       {"GPU-f0e3d6c9-bcaf-a295-887b-6e6154473a00", "MIG-f0e3d6c9-bcaf-a295-887b-6e6154473a01"}) {
    const ScopedVariable visible("CUDA_VISIBLE_DEVICES", uuid);
    const auto driver = Driver::Open(FreshFakeCuda());
    ASSERT_TRUE(driver.ok()) << uuid;
    EXPECT_EQ(cuda::DescribeDevice(*driver.value(), 0).value().uuid, uuid);
  }
}

TEST(CudaDevice, OrdinalsAreThoseOfVisibleDevices) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES", "A:9.0:64;B:9.0:64;C:9.0:64");
  for (const auto& [visible, names] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"2,0", {"C", "A"}},
           {"1", {"B"}},
           {"0,7,1", {"A"}},  // like the driver, ignores everything after an unknown entry
           {"GPU-f0e3d6c9-bcaf-a295-887b-6e6154473a02,0", {"C", "A"}}}) {
    const ScopedVariable variable("CUDA_VISIBLE_DEVICES", visible);
    Driver& driver = *Driver::Open(FreshFakeCuda()).value();
    ASSERT_EQ(driver.device_count(), static_cast<int>(names.size())) << visible;
    for (int i = 0; i < driver.device_count(); ++i)
      EXPECT_EQ(cuda::DescribeDevice(driver, i).value().name, names[i]) << visible;
  }
}

TEST(CudaDevice, RejectsAnOrdinalThatDoesNotExist) {
  Driver& driver = *Driver::Open(FreshFakeCuda()).value();
  for (const int ordinal : {-1, 1, 1000}) {
    auto device = Device::Open(driver, ordinal);
    ASSERT_FALSE(device.ok());
    EXPECT_EQ(device.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(device.status().message(),
              "there is no GPU " + std::to_string(ordinal) + "; this process sees 1");
  }
}

TEST(CudaDevice, OpensAgainAfterAFailure) {
  Driver& driver = *Driver::Open(FreshFakeCuda()).value();
  for (const std::string function : {"cuDeviceGetName", "cuDeviceGetUuid_v2", "cuDeviceGetAttribute",
                                     "cuDeviceTotalMem_v2", "cuDevicePrimaryCtxRetain"}) {
    const ScopedFaults faults(function + "=999@1");
    auto device = Device::Open(driver, 0);
    ASSERT_FALSE(device.ok()) << function;
    EXPECT_EQ(device.status().code(), StatusCode::kLibrary);
    EXPECT_NE(device.status().message().find("GPU 0"), std::string::npos) << device.status().message();
  }
  auto device = Device::Open(driver, 0);
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(Device::Open(driver, 0).value(), device.value());
}

TEST(CudaDevice, OwnersFreeOnAnyThread) {
  const FakeDevice gpu;
  {
    auto buffer = DeviceBuffer::Allocate(gpu.device, 3 * kMiB).value();
    auto pinned = PinnedBuffer::Allocate(gpu.device, 5000).value();
    auto stream = cuda::MakeStream(gpu.device).value();
    auto event = cuda::MakeEvent(gpu.device).value();
    EXPECT_EQ(gpu.fake.live_bytes(0), 3 * kMiB);
    EXPECT_EQ(gpu.fake.pinned_bytes(), 5000);
    EXPECT_EQ(gpu.fake.live_handles(), 2);
    EXPECT_EQ(gpu.device.MemoryInfo().value(), std::pair(8189 * kMiB, 8192 * kMiB));
    // A thread that never made the context current.
    std::thread([buffer = std::move(buffer), pinned = std::move(pinned), stream = std::move(stream),
                 event = std::move(event)] {
      EXPECT_TRUE(buffer);
      EXPECT_NE(pinned.data(), nullptr);
      EXPECT_TRUE(stream);
      EXPECT_TRUE(event);
    }).join();
  }
  EXPECT_EQ(gpu.fake.live_bytes(0), 0);
  EXPECT_EQ(gpu.fake.pinned_bytes(), 0);
  EXPECT_EQ(gpu.fake.live_handles(), 0);
}

TEST(CudaDevice, AssignmentFreesThePreviousBuffer) {
  const FakeDevice gpu;
  auto buffer = DeviceBuffer::Allocate(gpu.device, 100).value();
  buffer = DeviceBuffer::Allocate(gpu.device, 200).value();
  EXPECT_EQ(buffer.bytes(), 200);
  EXPECT_EQ(gpu.fake.live_bytes(0), 200);
  buffer = DeviceBuffer();
  EXPECT_EQ(gpu.fake.live_bytes(0), 0);
}

TEST(CudaDevice, AllocationFailuresHaveTypes) {
  const FakeDevice gpu;
  const auto code_of = [](auto result) { return result.ok() ? StatusCode::kOk : result.status().code(); };
  {
    const ScopedFaults faults(
        "cuMemAlloc_v2=999@1 cuMemHostAlloc=2@1 cuStreamCreate=999@1 cuEventCreate=999@1");
    EXPECT_EQ(code_of(DeviceBuffer::Allocate(gpu.device, 1)), StatusCode::kEngine);
    EXPECT_EQ(code_of(PinnedBuffer::Allocate(gpu.device, 1)), StatusCode::kOutOfMemory);
    EXPECT_EQ(code_of(cuda::MakeStream(gpu.device)), StatusCode::kEngine);
    EXPECT_EQ(code_of(cuda::MakeEvent(gpu.device)), StatusCode::kEngine);
  }
  {
    const ScopedFaults faults("cuCtxSetCurrent=201@1+");
    EXPECT_EQ(code_of(DeviceBuffer::Allocate(gpu.device, 1)), StatusCode::kEngine);
    EXPECT_EQ(code_of(PinnedBuffer::Allocate(gpu.device, 1)), StatusCode::kEngine);
    EXPECT_EQ(code_of(gpu.device.MemoryInfo()), StatusCode::kEngine);
  }
  const auto status = DeviceBuffer::Allocate(gpu.device, 9000 * kMiB).status();
  EXPECT_EQ(status.code(), StatusCode::kOutOfMemory);
  EXPECT_EQ(
      status.message(),
      "cannot allocate 9437184000 bytes of GPU memory: CUDA_ERROR_OUT_OF_MEMORY (from the fake libcuda)");
  EXPECT_EQ(gpu.fake.live_bytes(0), 0);
  EXPECT_EQ(gpu.fake.live_handles(), 0);
}

TEST(CudaDevice, DevicesHaveSeparateMemory) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES", "A:9.0:64;B:9.0:64");
  const FakeDevice first;
  Device& second = *Device::Open(first.driver, 1).value();
  EXPECT_NE(second.context(), first.device.context());
  const auto on_first = DeviceBuffer::Allocate(first.device, 60 * kMiB).value();
  const auto on_second = DeviceBuffer::Allocate(second, 50 * kMiB).value();
  EXPECT_EQ(first.fake.live_bytes(0), 60 * kMiB);
  EXPECT_EQ(first.fake.live_bytes(1), 50 * kMiB);
  EXPECT_FALSE(DeviceBuffer::Allocate(first.device, 10 * kMiB).ok());
  EXPECT_TRUE(DeviceBuffer::Allocate(second, 10 * kMiB).ok());
}

TEST(CudaDevice, StaysLost) {
  const FakeDevice gpu;
  auto buffer = DeviceBuffer::Allocate(gpu.device, 100).value();
  auto stream = cuda::MakeStream(gpu.device).value();
  EXPECT_FALSE(gpu.device.lost());
  {
    const ScopedFaults faults("run:cuMemsetD8Async=700@1");
    EXPECT_EQ(gpu.device.api().MemsetD8Async(buffer.address(), 0, 100, stream.get()), CUDA_SUCCESS);
    const Status status =
        gpu.device.Check(gpu.device.api().StreamSynchronize(stream.get()), "the work on the GPU");
    EXPECT_EQ(status.code(), StatusCode::kDeviceLost);
    EXPECT_EQ(std::get<double>(status.details().back().second), 0);
    EXPECT_EQ(status.details().back().first, "device");
  }
  EXPECT_TRUE(gpu.device.lost());
  EXPECT_EQ(DeviceBuffer::Allocate(gpu.device, 1).status().code(), StatusCode::kDeviceLost);
  EXPECT_EQ(cuda::MakeStream(gpu.device).status().code(), StatusCode::kDeviceLost);
  // The owners are destroyed silently: nothing can be freed on a lost device.
}

TEST(BufferPool, ReusesReturnedBuffers) {
  const FakeDevice gpu;
  const auto pool = std::make_shared<BufferPool>(gpu.device, 250);
  const CUdeviceptr address = pool->Take(100).value()->address();
  EXPECT_EQ(pool->Take(100).value()->address(), address);
  {
    const auto first = pool->Take(100).value();
    const auto second = pool->Take(100).value();
    const auto third = pool->Take(100).value();
    EXPECT_NE(first->address(), second->address());
    EXPECT_EQ(gpu.fake.live_bytes(0), 300);
  }
  EXPECT_EQ(gpu.fake.live_bytes(0), 200) << "more than 250 idle bytes are kept";
  EXPECT_EQ(pool->Take(101).value()->bytes(), 101);
  EXPECT_EQ(gpu.fake.live_bytes(0), 201);
  pool->Trim();
  EXPECT_EQ(gpu.fake.live_bytes(0), 0);
}

TEST(BufferPool, KeepsTheBuffersReturnedLast) {
  const FakeDevice gpu;
  const auto pool = std::make_shared<BufferPool>(gpu.device, 250);
  for (const std::size_t bytes : {60, 61, 62, 63, 120}) pool->Take(bytes).value().reset();
  EXPECT_EQ(gpu.fake.live_bytes(0), 62 + 63 + 120);
  const int allocated = gpu.fake.calls("cuMemAlloc_v2");
  pool->Take(120).value().reset();
  pool->Take(63).value().reset();
  EXPECT_EQ(gpu.fake.calls("cuMemAlloc_v2"), allocated) << "old sizes must not crowd out new ones";
  // Larger than the limit of idle bytes.
  pool->Take(251).value().reset();
  EXPECT_EQ(gpu.fake.live_bytes(0), 62 + 63 + 120);
}

TEST(BufferPool, FreesIdleBuffersBeforeItFails) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES", "A:9.0:64");
  const FakeDevice gpu;
  const auto pool = std::make_shared<BufferPool>(gpu.device, 64 * kMiB);
  pool->Take(30 * kMiB).value().reset();
  pool->Take(20 * kMiB).value().reset();
  EXPECT_EQ(gpu.fake.live_bytes(0), 50 * kMiB);
  const auto large = pool->Take(40 * kMiB);
  ASSERT_TRUE(large.ok());
  EXPECT_EQ(gpu.fake.live_bytes(0), 40 * kMiB);
  EXPECT_EQ(pool->Take(30 * kMiB).status().code(), StatusCode::kOutOfMemory);
  EXPECT_EQ(pool->Allocate(30 * kMiB).status().code(), StatusCode::kOutOfMemory);
}

TEST(BufferPool, LivesUntilItsBuffersAreReturned) {
  const FakeDevice gpu;
  auto pool = std::make_shared<BufferPool>(gpu.device, kMiB);
  auto buffer = pool->Take(100).value();
  pool.reset();
  EXPECT_EQ(gpu.fake.live_bytes(0), 100);
  buffer.reset();
  EXPECT_EQ(gpu.fake.live_bytes(0), 0);
}

TEST(BufferPool, ServesManyThreads) {
  const FakeDevice gpu;
  const auto pool = std::make_shared<BufferPool>(gpu.device, 4 * kMiB);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, i] {
      for (int round = 0; round < 200; ++round) {
        const auto buffer = pool->Take(std::size_t{1000} * (1 + (i + round) % 3));
        ASSERT_TRUE(buffer.ok());
        if (round % 50 == 0) pool->Trim();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  pool->Trim();
  EXPECT_EQ(gpu.fake.live_bytes(0), 0);
}

}  // namespace
}  // namespace cosmos
