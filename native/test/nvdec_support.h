// What the tests of NVDEC share: the doubles of libcuda and libnvcuvid, and clips compared with the CPU's.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cuda_support.h"
#include "media/nvdec/gpu.h"
#include "media_support.h"
#include "nvcuvid/fake_nvcuvid.h"

namespace cosmos::test {

// Both doubles as files of their own for this process, with two GPUs; the one of nvcuvid uses that of cuda.
class FakeNvdec {
 public:
  static const FakeNvdec& Get();

  const std::string cuda_path;
  const std::string nvcuvid_path;
  FakeNvcuvidCounts counts() const { return counts_(); }
  const FakeCuda& cuda() const { return *cuda_; }
  void Reset() const;

  // A Gpu on the doubles. Fails the test when it does not open.
  std::shared_ptr<Gpu> Open(GpuOptions options = {}) const;
  // After a test: nobody misused anything, and nothing is left of what a Gpu had.
  void ExpectNothingLeft() const;

 private:
  FakeNvdec();
  FakeNvcuvidCounts (*counts_)() = nullptr;
  void (*reset_)() = nullptr;
  std::unique_ptr<FakeCuda> cuda_;
};

struct Difference {
  std::int64_t samples = 0;
  std::int64_t off = 0;  // by more than 1 of 255
  int most = 0;
};
Difference Compare(const Clip& a, const Clip& b);
// The same clip: pixels within 1 of 255 on 99.9 % of samples, and the same frames and warnings.
void ExpectSameClip(const DecodedClip& gpu, const DecodedClip& cpu);

}  // namespace cosmos::test
