// Tests NVIDIA's own libraries on a machine without a driver. scripts/check-tensorrt-real.mjs fetches them
// and lists their paths in COSMOS_REAL_TENSORRT, separated by ':'.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cuda/driver.h"
#include "cuda_support.h"
#include "tensorrt/library.h"

namespace cosmos::test {
namespace {

class TensorRtReal : public testing::Test {
 protected:
  void SetUp() override {
    const char* paths = std::getenv("COSMOS_REAL_TENSORRT");
    if (!paths) GTEST_SKIP() << "COSMOS_REAL_TENSORRT names no libraries; see scripts/check-tensorrt-real";
    std::istringstream list(paths);
    for (std::string path; std::getline(list, path, ':');) {
      auto library = trt::Library::Open(path);
      ASSERT_TRUE(library.ok()) << library.status().message();
      libraries_.push_back(library.value());
    }
  }
  std::vector<trt::Library*> libraries_;
};

// Expects one typed error with the library's own log, received through the vtable of its major.
void ExpectRefusal(trt::Library& library) {
  const auto runtime = library.MakeRuntime();
  ASSERT_FALSE(runtime.ok()) << "a runtime without a driver";
  const Status& status = runtime.status();
  std::cout << "  " << library.version().text() << ": " << status.message() << "\n";
  EXPECT_EQ(status.code(), StatusCode::kLibrary);
  EXPECT_TRUE(status.message().starts_with(library.path() + " cannot create a runtime: "))
      << status.message();
  const auto& [key, log] = status.details().at(status.details().size() - 2);
  EXPECT_EQ(key, "log");
  const std::string text = std::get<std::string>(log);
  std::cout << "    it logged: " << text;
  EXPECT_NE(text.find("createInferRuntime"), std::string::npos) << text;
  EXPECT_EQ(text.find("0x2"), std::string::npos);
}

TEST_F(TensorRtReal, ReportsItsVersionWithoutADriver) {
  for (const trt::Library* library : libraries_) {
    std::cout << "  " << library->version().text() << (library->lean() ? " (lean)" : "") << "\n";
    EXPECT_NE(library->path().find(library->lean() ? "_lean.so." : "nvinfer.so."), std::string::npos);
    EXPECT_TRUE(library->path().ends_with(".so." + std::to_string(library->major())));
  }
}

TEST_F(TensorRtReal, TheDriverIsCheckedFirst) {
  const auto driver = cuda::Driver::Open();
  if (driver.ok()) GTEST_SKIP() << "this machine has a driver";
  std::cout << "  " << driver.status().message() << "\n";
  EXPECT_EQ(driver.status().code(), StatusCode::kLibrary);
}

// Bypasses our own check on purpose: without a driver the library returns a pointer that is no object.
TEST_F(TensorRtReal, CreatesNoRuntimeWithoutADriver) {
  if (cuda::Driver::Open().ok()) GTEST_SKIP() << "this machine has a driver";
  for (trt::Library* library : libraries_) {
    ExpectRefusal(*library);
    // Once more, from another thread.
    std::thread([library] { ExpectRefusal(*library); }).join();
  }
}

// The fake lacks functions that the CUDA runtime inside the library needs, like a driver that is too old.
// Must be the last test, because from here on the process has a libcuda.so.1.
TEST_F(TensorRtReal, RejectsADriverThatIsTooOld) {
  const auto driver = cuda::Driver::Open(FakeCudaPath());
  ASSERT_TRUE(driver.ok()) << driver.status().message();
  for (trt::Library* library : libraries_) ExpectRefusal(*library);
}

}  // namespace
}  // namespace cosmos::test
