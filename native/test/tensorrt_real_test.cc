// NVIDIA's own libraries on a machine without a driver. scripts/check-tensorrt-real fetches them and names
// them in COSMOS_REAL_TENSORRT, paths with ':' between.
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

// One typed error with what the library itself logged, through the table of its major.
void ExpectRefusal(trt::Library& library) {
  const auto runtime = library.MakeRuntime();
  ASSERT_FALSE(runtime.ok()) << "a runtime without a driver";
  const Status& status = runtime.status();
  std::cout << "  " << library.version().text() << ": " << status.message() << "\n";
  EXPECT_EQ(status.code(), StatusCode::kLibrary);
  EXPECT_TRUE(status.message().starts_with(library.path() + " cannot create a runtime: ")) << status.message();
  const auto& [key, log] = status.details().at(status.details().size() - 2);
  EXPECT_EQ(key, "log");
  const std::string text = std::get<std::string>(log);
  std::cout << "    it logged: " << text;
  EXPECT_NE(text.find("createInferRuntime"), std::string::npos) << text;
  EXPECT_EQ(text.find("0x2"), std::string::npos);
}

TEST_F(TensorRtReal, SaysItsVersionWithoutADriver) {
  for (const trt::Library* library : libraries_) {
    std::cout << "  " << library->version().text() << (library->lean() ? " (lean)" : "") << "\n";
    EXPECT_NE(library->path().find(library->lean() ? "_lean.so." : "nvinfer.so."), std::string::npos);
    EXPECT_TRUE(library->path().ends_with(".so." + std::to_string(library->major())));
  }
}

TEST_F(TensorRtReal, IsNeverReachedWithoutADriver) {
  const auto driver = cuda::Driver::Open();
  if (driver.ok()) GTEST_SKIP() << "this machine has a driver";
  std::cout << "  " << driver.status().message() << "\n";
  EXPECT_EQ(driver.status().code(), StatusCode::kLibrary);
}

// Past our own check on purpose, to where the library returns a pointer that is no object.
TEST_F(TensorRtReal, RefusesToStartAndSaysWhy) {
  if (cuda::Driver::Open().ok()) GTEST_SKIP() << "this machine has a driver";
  for (trt::Library* library : libraries_) {
    ExpectRefusal(*library);
    // And again, from another thread.
    std::thread([library] { ExpectRefusal(*library); }).join();
  }
}

// The double has what we call and not what the CUDA runtime inside the library asks for: as if it were too
// old. After the tests above, because from here on the process has a libcuda.so.1.
TEST_F(TensorRtReal, RefusesADriverThatIsTooOld) {
  const auto driver = cuda::Driver::Open(FakeCudaPath());
  ASSERT_TRUE(driver.ok()) << driver.status().message();
  for (trt::Library* library : libraries_) ExpectRefusal(*library);
}

}  // namespace
}  // namespace cosmos::test
