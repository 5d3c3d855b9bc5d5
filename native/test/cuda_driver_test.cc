#include "cuda/driver.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "cuda_support.h"
#include "media_support.h"

namespace cosmos {
namespace {

using cuda::Driver;
using test::FreshFakeCuda;
using test::ScopedFaults;
using test::ScopedVariable;

Status OpenError(const std::string& path) {
  auto driver = Driver::Open(path);
  return driver.ok() ? Status() : driver.TakeStatus();
}

void ExpectContains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

TEST(CudaDriver, IsOpenedOnce) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES", "A:9.0:64;B:8.9:64");
  const std::string path = FreshFakeCuda();
  auto driver = Driver::Open(path);
  ASSERT_TRUE(driver.ok()) << driver.status().message();
  EXPECT_EQ(driver.value()->version(), 12040);
  EXPECT_EQ(driver.value()->version_text(), "12.4");
  EXPECT_EQ(driver.value()->device_count(), 2);
  EXPECT_EQ(driver.value()->library(), path);
  EXPECT_EQ(Driver::Open(path).value(), driver.value());
  EXPECT_EQ(test::FakeCuda(path).calls("cuInit"), 1);
}

TEST(CudaDriver, ReportsTheMissingLibrary) {
  const Status missing = OpenError("/nonexistent/libcuda.so.1");
  EXPECT_EQ(missing.code(), StatusCode::kLibrary);
  ExpectContains(missing.message(), "/nonexistent/libcuda.so.1");
  EXPECT_EQ(OpenError("libcuda.so.1").code(), StatusCode::kInvalidArgument);
}

// In its own process, because the loader also finds libraries that are loaded already.
TEST(CudaDriverDeathTest, LooksWhereTheLoaderLooks) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto open_and_say = [] {
    const Status status = OpenError("");
    std::cerr << StatusCodeName(status.code()) << ": " << status.message();
    std::exit(status.ok() ? 0 : 1);
  };
  {
    const ScopedVariable path("LD_LIBRARY_PATH", COSMOS_FAKES "/cuda");
    EXPECT_EXIT(open_and_say(), testing::ExitedWithCode(0), "");
  }
  if (test::RunShell("ldconfig -p | grep libcuda.so.1")) GTEST_SKIP() << "this machine has a CUDA driver";
  EXPECT_EXIT(open_and_say(), testing::ExitedWithCode(1),
              "library: the library libcuda.so.1 cannot be opened");
}

TEST(CudaDriver, ReportsTheMissingFunction) {
  const Status status = OpenError(COSMOS_FAKES "/cuda/libcuda-old.so");
  EXPECT_EQ(status.code(), StatusCode::kLibrary);
  ExpectContains(status.message(), "libcuda-old.so");
  ExpectContains(status.message(), "it does not export cuGetErrorName; a driver for CUDA 11.4 or newer does");
}

TEST(CudaDriver, OpensAgainAfterAFailure) {
  const std::string path = FreshFakeCuda();
  constexpr std::array kFaults = {
      std::pair{"cuInit=999@1", "cannot be initialised: CUDA_ERROR_UNKNOWN"},
      std::pair{"cuInit=802@1", "cannot be initialised: CUDA_ERROR_SYSTEM_NOT_READY"},
      std::pair{"cuInit=34@1", "cannot be initialised: CUDA_ERROR_STUB_LIBRARY"},
      std::pair{"cuDriverGetVersion=999@1", "does not report its version: CUDA_ERROR_UNKNOWN"},
      std::pair{"cuDeviceGetCount=999@1", "does not report its device count: CUDA_ERROR_UNKNOWN"},
  };
  for (const auto& [fault, message] : kFaults) {
    const ScopedFaults faults(fault);
    const Status status = OpenError(path);
    EXPECT_EQ(status.code(), StatusCode::kLibrary);
    ExpectContains(status.message(), path);
    ExpectContains(status.message(), message);
  }
  EXPECT_TRUE(OpenError(path).ok());
}

TEST(CudaDriver, NeedsADevice) {
  const std::string path = FreshFakeCuda();
  for (const auto& [name, value] : {std::pair{"COSMOS_FAKE_CUDA_DEVICES", ""},
                                    {"CUDA_VISIBLE_DEVICES", ""},
                                    {"CUDA_VISIBLE_DEVICES", "-1"}}) {
    const ScopedVariable none(name, value);
    const Status status = OpenError(path);
    EXPECT_EQ(status.code(), StatusCode::kLibrary);
    ExpectContains(status.message(), "CUDA_ERROR_NO_DEVICE");
  }
}

TEST(CudaDriver, ErrorsHaveTypes) {
  Driver& driver = *Driver::Open(FreshFakeCuda()).value();
  const auto check = [&](int number) {
    return driver.Check(static_cast<CUresult>(number), "the work", StatusCode::kEngine);
  };
  EXPECT_TRUE(check(0).ok());
  EXPECT_EQ(check(1).code(), StatusCode::kEngine);
  EXPECT_EQ(check(2).code(), StatusCode::kOutOfMemory);
  EXPECT_EQ(check(600).code(), StatusCode::kEngine);
  for (const int number : {4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911})
    EXPECT_EQ(check(number).code(), StatusCode::kDeviceLost) << number;

  const Status illegal = check(700);
  EXPECT_EQ(illegal.message(), "the work: CUDA_ERROR_ILLEGAL_ADDRESS (from the fake libcuda)");
  EXPECT_EQ(std::get<double>(illegal.details().at(1).second), 700);
  EXPECT_EQ(check(1023).message(), "the work: an unknown CUDA error (no description)");
}

}  // namespace
}  // namespace cosmos
