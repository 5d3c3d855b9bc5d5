#include "tensorrt_support.h"

#include <dlfcn.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <utility>

#include "media_support.h"

namespace cosmos::test {
namespace {

namespace fs = std::filesystem;

// scripts/check-tensorrt-abi.mjs provides fakes that are built from NVIDIA's headers.
fs::path Fakes() {
  const char* folder = std::getenv("COSMOS_TEST_FAKES");
  return folder ? folder : COSMOS_FAKES;
}

// Copies a library and replaces its soname by one of the same length: the loader treats libraries with one
// soname as the same.
void CopyRenamed(const fs::path& from, const fs::path& to, const std::string& name) {
  const std::vector<std::uint8_t> bytes = ReadFile(from);
  std::string text(bytes.begin(), bytes.end());
  const std::string soname = "libcuda.so.1";
  for (std::size_t at = text.find(soname); at != std::string::npos; at = text.find(soname, at)) {
    text.replace(at, soname.size(), name);
  }
  std::ofstream(to, std::ios::binary) << text;
}

std::string Repeat(int count, const std::string& line) {
  std::string text;
  for (int i = 0; i < count; ++i) text += line;
  return text;
}

std::vector<float> Unit(std::vector<double> values) {
  double squares = 0;
  for (const double value : values) squares += value * value;
  std::vector<float> unit;
  for (const double value : values) unit.push_back(static_cast<float>(value / std::sqrt(squares)));
  return unit;
}

class TestPixels final : public DevicePixels {
 public:
  TestPixels(const cuda::Device& device, cuda::DeviceBuffer buffer)
      : device_(device), buffer_(std::move(buffer)) {}
  int device() const override { return device_.info().ordinal; }
  std::uint64_t address() const override { return buffer_.address(); }
  Status CopyToHost(std::uint8_t* /*out*/, std::size_t /*bytes*/) const override {
    return {StatusCode::kInternal, "an engine on the GPU copies no clip to the host"};
  }

 private:
  const cuda::Device& device_;
  cuda::DeviceBuffer buffer_;
};

template <typename T>
T* Must(Result<T*> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().message();
    std::abort();
  }
  return result.value();
}

}  // namespace

TensorRtFakes::TensorRtFakes(int major, const std::string& name) {
  static int count = 0;
  const std::string number = std::to_string(++count + 1000).substr(1);
  folder_ = ScratchFolder() / ("tensorrt-" + number);
  fs::create_directories(folder_);
  const std::string soname = "libcuda_." + number;
  cuda_ = folder_ / "libcuda.so.1";
  nvinfer_ = folder_ / (name + "." + std::to_string(major));
  CopyRenamed(Fakes() / "cuda" / "libcuda.so.1", cuda_, soname);
  CopyRenamed(Fakes() / "nvinfer" / (name + "." + std::to_string(major)), nvinfer_, soname);
  std::optional<ScopedVariable> devices;
  if (!std::getenv("COSMOS_FAKE_CUDA_DEVICES")) {
    devices.emplace("COSMOS_FAKE_CUDA_DEVICES", "First:9.0:512;Second:9.0:512");
  }
  // Initialises the driver, which fixes the devices.
  driver();
}

cuda::Driver& TensorRtFakes::driver() const { return *Must(cuda::Driver::Open(cuda_)); }

cuda::Device& TensorRtFakes::device(int ordinal) const {
  return *Must(cuda::Device::Open(driver(), ordinal));
}

std::string TensorRtFakes::Trace() const {
  void* library = dlopen(nvinfer_.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return "";
  const auto trace = reinterpret_cast<const char* (*)()>(dlsym(library, "fake_nvinfer_trace"));
  return trace();
}

std::string TensorRtFakes::WritePlan(const std::string& name, const std::string& text) const {
  return WritePlan(name, text, Must(trt::Library::Open(nvinfer_))->version());
}

std::string TensorRtFakes::WritePlan(const std::string& name, const std::string& text,
                                     const trt::Version& version) const {
  std::string header("ftrt\0\0\0\0", 8);
  header.resize(24, '.');
  for (const int number : {version.major, version.minor, version.patch, version.build}) {
    header += static_cast<char>(number);
  }
  std::ofstream(folder_ / name, std::ios::binary) << header << text;
  return folder_ / name;
}

std::string VideoPlan::text() const {
  return "input " + input + "\noutput " + output + "\n" + more +
         Repeat(profiles, "profile videos " + min + " " + max + " " + max + "\n");
}

std::string TextPlan::text() const {
  const std::string rest = " " + type + " " + shape + "\n";
  const std::string ids = "input input_ids" + rest;
  const std::string mask = "input attention_mask" + rest;
  std::string plan = (mask_first ? mask + ids : ids + mask) + "output " + output + "\n";
  for (const char* name : {"input_ids ", "attention_mask "}) {
    plan += Repeat(profiles, std::string("profile ") + name + min + " " + max + " " + max + "\n");
  }
  return plan;
}

ClipPtr TestClip(int seed) {
  auto clip = std::make_shared<Clip>(kTinyClip);
  std::minstd_rand random(static_cast<unsigned>(seed) * 7919 + 1);
  for (std::size_t i = 0; i < kTinyClip.bytes(); ++i)
    clip->frame(0)[i] = static_cast<std::uint8_t>(random() >> 7);
  return clip;
}

ClipPtr OnDevice(const cuda::Device& device, const ClipPtr& clip) {
  auto buffer = cuda::DeviceBuffer::Allocate(device, kTinyClip.bytes());
  auto stream = cuda::MakeStream(device);
  if (!buffer.ok() || !stream.ok()) std::abort();
  const cuda::Api& api = device.api();
  EXPECT_EQ(api.MemcpyHtoDAsync(buffer->address(), clip->data(), kTinyClip.bytes(), stream->get()),
            CUDA_SUCCESS);
  EXPECT_EQ(api.StreamSynchronize(stream->get()), CUDA_SUCCESS);
  return std::make_shared<Clip>(kTinyClip, std::make_unique<TestPixels>(device, std::move(buffer).value()));
}

std::vector<float> VideoVector(const ClipPtr& clip, bool tao) {
  const int plane = kTinyClip.width * kTinyClip.height;
  std::vector<double> samples;
  for (int i = 0; i < 3 * kTinyClip.frames; ++i) {
    // [T, 3] to [3, T]
    const int from = tao ? i % kTinyClip.frames * 3 + i / kTinyClip.frames : i;
    samples.insert(samples.end(), clip->data() + from * plane, clip->data() + (from + 1) * plane);
  }
  std::vector<double> values(kTinyDim, 1);
  const std::size_t slice = samples.size() / kTinyDim;
  for (std::size_t i = 0; i < samples.size(); ++i)
    values[i / slice] += samples[i] / static_cast<double>(slice);
  return Unit(std::move(values));
}

std::vector<float> TextVector(const TokenRow& row) {
  std::vector<double> values(kTinyDim, 1);
  for (std::size_t j = 0; j < values.size(); ++j) {
    for (std::size_t k = 0; k < row.size(); ++k) {
      values[j] += static_cast<double>(row[k]) * static_cast<double>(1 + (k + j) % 3);
    }
  }
  return Unit(std::move(values));
}

void ExpectRows(const Result<std::vector<float>>& found, const std::vector<std::vector<float>>& rows,
                float tolerance) {
  ASSERT_TRUE(found.ok()) << found.status().message();
  std::vector<float> expected;
  for (const auto& row : rows) expected.insert(expected.end(), row.begin(), row.end());
  ASSERT_EQ(found.value().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found.value()[i], expected[i], tolerance) << i;
  }
}

void ExpectVideo(const Result<std::vector<float>>& found, const std::vector<ClipPtr>& clips) {
  std::vector<std::vector<float>> rows;
  for (const ClipPtr& clip : clips) rows.push_back(VideoVector(clip));
  ExpectRows(found, rows);
}

void ExpectText(const Result<std::vector<float>>& found, const std::vector<TokenRow>& rows) {
  std::vector<std::vector<float>> expected;
  for (const TokenRow& row : rows) expected.push_back(TextVector(row));
  ExpectRows(found, expected);
}

TensorRtOptions TensorRtTest::Options(const VideoPlan& video, const TextPlan& text) const {
  TensorRtOptions options;
  options.library = fakes_.path();
  options.video_path = fakes_.WritePlan("video.plan", video.text());
  options.text_path = fakes_.WritePlan("text.plan", text.text());
  options.model = {kTinyClip, kTinyDim};
  options.pad_token_id = 77;  // masked, so no vector may depend on it
  return options;
}

Result<std::unique_ptr<Engine>> TensorRtTest::TryCreate(const TensorRtOptions& options, int device) const {
  auto preprocessor = cuda::Preprocessor::Load(fakes_.device(device));
  if (!preprocessor.ok()) return preprocessor.TakeStatus();
  return CreateTensorRtEngine(fakes_.device(device), std::move(preprocessor).value(), options);
}

std::unique_ptr<Engine> TensorRtTest::Create(const TensorRtOptions& options, int device) const {
  auto engine = TryCreate(options, device);
  if (engine.ok()) return std::move(engine).value();
  ADD_FAILURE() << engine.status().message();
  return nullptr;
}

void TensorRtTest::ExpectNothingLeft() const {
  const FakeCuda cuda = fakes_.cuda();
  EXPECT_EQ(cuda.live_bytes(-1), 0U);
  EXPECT_EQ(cuda.pinned_bytes(), 0U);
  EXPECT_EQ(cuda.live_handles(), 0);
  EXPECT_EQ(cuda.pending(), 0);
  EXPECT_STREQ(cuda.errors(), "");
}

}  // namespace cosmos::test
