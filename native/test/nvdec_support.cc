#include "nvdec_support.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "isolation/decoder_pool.h"
#include "media/nvdec/nvcuvid.h"

namespace cosmos::test {
namespace {

// Changes the soname of the libcuda double, so that the double of libnvcuvid finds this copy and not one that
// another test loaded.
std::string CopyRenamed(const std::string& from, const std::string& to) {
  constexpr std::string_view kName = "libcuda.so.1";
  constexpr std::string_view kOther = "libcuda.so.N";
  std::vector<std::uint8_t> bytes = ReadFile(from);
  EXPECT_FALSE(bytes.empty()) << from;
  for (auto found = bytes.begin();;) {
    found = std::search(found, bytes.end(), kName.begin(), kName.end());
    if (found == bytes.end()) break;
    std::ranges::copy(kOther, found);
  }
  std::ofstream file(to, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return to;
}

std::string InFolder(const std::string& name) {
  const auto folder = ScratchFolder() / "nvdec";
  std::filesystem::create_directories(folder);
  return (folder / name).string();
}

}  // namespace

FakeNvdec::FakeNvdec()
    : cuda_path(CopyRenamed(FakeCudaPath(), InFolder("libcuda.so.1"))),
      nvcuvid_path(CopyRenamed(COSMOS_FAKES "/nvcuvid/libnvcuvid.so.1", InFolder("libnvcuvid.so.1"))) {
  const ScopedVariable devices("COSMOS_FAKE_CUDA_DEVICES", "NVIDIA H100:9.0:8192;NVIDIA H200:9.0:8192");
  auto driver = cuda::Driver::Open(cuda_path);
  auto library = Nvcuvid::Open(nvcuvid_path);
  if (!driver.ok() || !library.ok()) {
    ADD_FAILURE() << (driver.ok() ? library.status().message() : driver.status().message());
    std::abort();
  }
  cuda_ = std::make_unique<FakeCuda>(cuda_path);
  void* handle = dlopen(nvcuvid_path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  counts_ = reinterpret_cast<decltype(counts_)>(dlsym(handle, "fake_nvcuvid_counts"));
  reset_ = reinterpret_cast<decltype(reset_)>(dlsym(handle, "fake_nvcuvid_reset"));
}

const FakeNvdec& FakeNvdec::Get() {
  static const auto* doubles = new FakeNvdec;
  return *doubles;
}

void FakeNvdec::Reset() const {
  reset_();
  cuda_->reset();
}

std::shared_ptr<Gpu> FakeNvdec::Open(GpuOptions options) const {
  options.cuda_library = cuda_path;
  options.nvcuvid_library = nvcuvid_path;
  auto gpu = Gpu::Open(options);
  if (!gpu.ok()) {
    ADD_FAILURE() << gpu.status().message();
    return nullptr;
  }
  return gpu.value();
}

void FakeNvdec::ExpectNothingLeft() const {
  EXPECT_STREQ(cuda_->errors(), "");
  EXPECT_EQ(counts().decoders, 0);
  EXPECT_EQ(counts().parsers, 0);
  EXPECT_EQ(counts().mapped, 0);
  EXPECT_EQ(cuda_->live_bytes(-1), 0U);
  EXPECT_EQ(cuda_->pinned_bytes(), 0U);
  EXPECT_EQ(cuda_->live_handles(), 0);
  EXPECT_EQ(cuda_->pending(), 0);
}

Result<std::unique_ptr<ClipReader>> OpenHandedOver(const MediaSource& source, const ClipRequest& request,
                                                   const std::optional<Windows>& windows,
                                                   const CancelTokenPtr& cancel) {
  static const auto pool =
      DecoderPool::Open({.executable = COSMOS_DECODER, .max_bytes = std::int64_t{2} << 30});
  if (!pool.ok()) return pool.status();
  return pool.value()->OpenReader(source, request, windows, cancel);
}

void ExpectSameHandedOver(const MediaSource& source, const ClipRequest& request,
                          const std::optional<Windows>& windows, const std::vector<DecodedClip>& own) {
  auto reader = OpenHandedOver(source, request, windows, nullptr);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  for (std::size_t i = 0; i < own.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "handed over, clip " << i);
    auto next = reader.value()->Next(nullptr);
    ASSERT_TRUE(next.ok()) << next.status().message();
    ASSERT_TRUE(next.value());
    const DecodedClip& clip = *next.value();
    ExpectSameClip(clip, own[i]);
    EXPECT_EQ(Compare(*clip.clip, *own[i].clip).most, 0);
    EXPECT_EQ(clip.clip->device_pixels() != nullptr, own[i].clip->device_pixels() != nullptr);
    EXPECT_EQ(clip.report.decoder, own[i].report.decoder);
    EXPECT_EQ(clip.report.decoder_reason, own[i].report.decoder_reason);
    EXPECT_EQ(clip.report.pixel_format, own[i].report.pixel_format);
    EXPECT_EQ(clip.report.container, own[i].report.container);
    EXPECT_EQ(clip.report.decoded, own[i].report.decoded);
    EXPECT_EQ(clip.report.discarded, own[i].report.discarded);
    EXPECT_EQ(clip.report.damaged, own[i].report.damaged);
  }
  auto end = reader.value()->Next(nullptr);
  EXPECT_TRUE(end.ok() && !end.value());
}

Difference Compare(const Clip& a, const Clip& b) {
  Difference difference;
  EXPECT_EQ(a.shape(), b.shape());
  if (!(a.shape() == b.shape())) return difference;
  std::vector<std::uint8_t> first(a.shape().bytes());
  std::vector<std::uint8_t> second(b.shape().bytes());
  EXPECT_TRUE(a.CopyTo(first.data()).ok());
  EXPECT_TRUE(b.CopyTo(second.data()).ok());
  difference.samples = static_cast<std::int64_t>(first.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    const int distance = std::abs(first[i] - second[i]);
    difference.off += distance > 1 ? 1 : 0;
    difference.most = std::max(difference.most, distance);
  }
  return difference;
}

void ExpectSameClip(const DecodedClip& gpu, const DecodedClip& cpu) {
  const Difference difference = Compare(*gpu.clip, *cpu.clip);
  EXPECT_LE(difference.off * 1000, difference.samples) << "the largest difference is " << difference.most;
  ASSERT_EQ(gpu.frames.size(), cpu.frames.size());
  for (std::size_t i = 0; i < cpu.frames.size(); ++i) {
    EXPECT_EQ(gpu.frames[i].index, cpu.frames[i].index) << i;
    EXPECT_EQ(gpu.frames[i].pts, cpu.frames[i].pts) << i;
    EXPECT_EQ(gpu.frames[i].keyframe, cpu.frames[i].keyframe) << i;
  }
  EXPECT_EQ(gpu.start, cpu.start);
  EXPECT_EQ(gpu.end, cpu.end);
  EXPECT_EQ(gpu.report.warnings, cpu.report.warnings);
  EXPECT_EQ(gpu.report.frame_count, cpu.report.frame_count);
  EXPECT_EQ(gpu.report.width, cpu.report.width);
  EXPECT_EQ(gpu.report.height, cpu.report.height);
  EXPECT_EQ(gpu.report.rotation, cpu.report.rotation);
  EXPECT_EQ(gpu.report.codec, cpu.report.codec);
}

}  // namespace cosmos::test
