// Shared by the NVDEC tests: the doubles of libcuda and libnvcuvid, and comparison of clips.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cuda_support.h"
#include "media/nvdec/gpu.h"
#include "media_support.h"
#include "nvcuvid/fake_nvcuvid.h"

namespace cosmos::test {

// Private copies of both doubles, with two GPUs. The double of libnvcuvid uses that of libcuda.
class FakeNvdec {
 public:
  static const FakeNvdec& Get();

  const std::string cuda_path;
  const std::string nvcuvid_path;
  FakeNvcuvidCounts counts() const { return counts_(); }
  const FakeCuda& cuda() const { return *cuda_; }
  void Reset() const;

  // Opens a Gpu on the doubles. Fails the test when that fails.
  std::shared_ptr<Gpu> Open(GpuOptions options = {}) const;
  // After a test: no misuse was recorded, and everything that a Gpu created is gone.
  void ExpectNothingLeft() const;

 private:
  FakeNvdec();
  FakeNvcuvidCounts (*counts_)() = nullptr;
  void (*reset_)() = nullptr;
  std::unique_ptr<FakeCuda> cuda_;
};

// Like ClipReader::Open, in a decoder process that hands its packets to NVDEC in this one.
Result<std::unique_ptr<ClipReader>> OpenHandedOver(const MediaSource& source, const ClipRequest& request,
                                                   const std::optional<Windows>& windows,
                                                   const CancelTokenPtr& cancel);
// Reads the clips that way, and expects those of this process to the byte.
void ExpectSameHandedOver(const MediaSource& source, const ClipRequest& request,
                          const std::optional<Windows>& windows, const std::vector<DecodedClip>& own);

struct Difference {
  std::int64_t samples = 0;
  std::int64_t off = 0;  // samples that differ by more than 1 of 255
  int most = 0;
};
Difference Compare(const Clip& a, const Clip& b);
// Expects 99.9 % of the samples to be within 1 of 255, and the same frames and warnings.
void ExpectSameClip(const DecodedClip& gpu, const DecodedClip& cpu);

}  // namespace cosmos::test
