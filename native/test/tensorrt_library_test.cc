// Tests of libnvinfer as a library: which files and versions are accepted, and what happens to its log.
#include "tensorrt/library.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensorrt_support.h"

namespace cosmos::test {
namespace {

COSMOS_TENSORRT_SUITE(TensorRtLibrary);

TEST_P(TensorRtLibrary, IsOpenedOnceAndReportsItsVersion) {
  const auto library = trt::Library::Open(fakes_.path());
  ASSERT_TRUE(library.ok()) << library.status().message();
  EXPECT_EQ(library.value(), trt::Library::Open(fakes_.path()).value());
  EXPECT_EQ(library.value()->major(), GetParam());
  EXPECT_FALSE(library.value()->lean());
  const auto probe = ProbeTensorRt(fakes_.path());
  ASSERT_TRUE(probe.ok());
  EXPECT_EQ(probe.value().version, library.value()->version().text());

  const TensorRtFakes lean(GetParam(), "libnvinfer_lean.so");
  const auto lean_probe = ProbeTensorRt(lean.path());
  ASSERT_TRUE(lean_probe.ok()) << lean_probe.status().message();
  EXPECT_TRUE(lean_probe.value().lean);
}

TEST_P(TensorRtLibrary, IsAcceptedInSupportedVersionsOnly) {
  for (const auto& [version, known] : {std::pair{"10.0.1.6", false},
                                       {"10.1.0.27", true},
                                       {"10.2.0.19", true},
                                       {"10.99.0.0", true},
                                       {"11.0.0.114", true},
                                       {"11.4.1.106", true},
                                       {"8.6.1.6", false},
                                       {"9.3.0.1", false},
                                       {"12.0.0.1", false}}) {
    if (known && !std::string(version).starts_with(std::to_string(GetParam()))) continue;
    const TensorRtFakes fresh(GetParam());
    const ScopedVariable setting("COSMOS_FAKE_NVINFER_VERSION", version);
    const auto probe = ProbeTensorRt(fresh.path());
    ASSERT_EQ(probe.ok(), known) << version;
    if (known) {
      EXPECT_EQ(probe.value().version, version);
      continue;
    }
    EXPECT_EQ(probe.status().code(), StatusCode::kLibrary);
    EXPECT_EQ(probe.status().message(), fresh.path() + " cannot be used as TensorRT: its version is " +
                                            version + "; 10.1 and newer and 11.x are supported");
  }
}

TEST(TensorRtFile, ReportsWhyAFileCannotBeUsed) {
  Dl_info libc{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&std::abort), &libc), 0);
  struct Case {
    std::string path;
    StatusCode code;
    const char* reason;
  };
  const std::vector<Case> cases = {
      {"libnvinfer.so.11", StatusCode::kInvalidArgument, "not absolute"},
      {"/nowhere/libnvinfer.so.11", StatusCode::kLibrary, "No such file"},
      {libc.dli_fname, StatusCode::kLibrary,
       "does not export getInferLibMajorVersion; TensorRT 10 and 11 do"},
  };
  for (const auto& [path, code, reason] : cases) {
    const auto probe = ProbeTensorRt(path);
    ASSERT_FALSE(probe.ok()) << path;
    EXPECT_EQ(probe.status().code(), code);
    EXPECT_NE(probe.status().message().find(reason), std::string::npos) << probe.status().message();
  }
}

// Writes to the log like the library: through the vtable of its major.
void Say(trt::Log& log, int major, trt::Severity severity, const char* text) {
  void* logger = log.logger(major);
  if (major == 10) {
    static_cast<trt::Logger10*>(logger)->Write(severity, text);
  } else {
    static_cast<trt::Logger11*>(logger)->Write(severity, text);
  }
}

TEST_P(TensorRtLibrary, AttributesLogLinesToTheirCall) {
  trt::Log log;
  trt::Log other;
  Say(log, GetParam(), trt::Severity::kError, "before");
  const trt::LogScope outer(log);
  std::thread([&] { Say(log, GetParam(), trt::Severity::kError, "a thread of the library's"); }).join();
  Say(other, GetParam(), trt::Severity::kError, "another library");
  Say(log, GetParam(), trt::Severity::kInfo, "too quiet");
  Say(log, GetParam(), trt::Severity::kWarning, "a warning");
  EXPECT_FALSE(outer.error());
  {
    const trt::LogScope inner(log);
    Say(log, GetParam(), trt::Severity::kInternalError, "inside");
    EXPECT_TRUE(inner.error());
    EXPECT_EQ(inner.Failure(StatusCode::kEngine, "doing").message(), "doing: inside");
    // Another call at the same time, on its own thread.
    std::thread([&] {
      const trt::LogScope apart(log);
      Say(log, GetParam(), trt::Severity::kError, "apart");
      EXPECT_EQ(apart.Failure(StatusCode::kEngine, "doing").message(), "doing: apart");
    }).join();
  }
  EXPECT_FALSE(outer.error());
  const Status status = outer.Failure(StatusCode::kEngine, "doing");
  EXPECT_EQ(status.code(), StatusCode::kEngine);
  EXPECT_EQ(std::get<std::string>(status.details().back().second), "a warning\na thread of the library's\n");
}

TEST_P(TensorRtLibrary, KeepsTheLastLogLines) {
  trt::Log log;
  const trt::LogScope scope(log);
  for (int i = 0; i < 100; ++i) {
    Say(log, GetParam(), trt::Severity::kError, ("line " + std::to_string(i)).c_str());
  }
  const Status status = scope.Failure(StatusCode::kEngine, "doing");
  EXPECT_EQ(status.message(), "doing: line 99");
  const auto kept = std::get<std::string>(status.details().back().second);
  EXPECT_TRUE(kept.starts_with("line 80\n")) << kept;
}

TEST(TensorRtLog, ContainsNeitherAddressesNorBuildFolders) {
  for (const auto& [line, redacted] : std::vector<std::pair<std::string, std::string>>{
           {"at 0x7f3a12345678, size 0X10", "at 0x, size 0X10"},
           {"In checkCudaInstallation at /_src/build/optimizer/globWriter.cpp:100)",
            "In checkCudaInstallation at globWriter.cpp:100)"},
           {"[engine.cpp::deserialize::66] Error Code 1", "[engine.cpp::deserialize::66] Error Code 1"},
           {"a/b is 3/4", "a/b is 3/4"},
           {"two\nlines\t", "two lines "},
           {"", ""}}) {
    EXPECT_EQ(trt::Redact(line), redacted);
  }
  EXPECT_EQ(trt::Redact(std::string(5000, 'x')).size(), 1000U);
}

}  // namespace
}  // namespace cosmos::test
