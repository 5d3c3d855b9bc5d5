// Internals of the fake libnvcuvid.
#pragma once

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_nvcuvid.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cuda/fake_cuda.h"
#include "faults.h"
#include "nvcuvid/fake_nvcuvid.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/pixdesc.h>
}

// Functions of the fake libcuda: NVIDIA's header declares only types.
extern "C" {
CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total);
CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuCtxGetCurrent(CUcontext* context);
}

#define FAKE_NVCUVID_API extern "C" FAKE_NVCUVID_EXPORT CUresult

namespace fakes {

// A number that is never forgotten at its highest.
template <typename Number>
class Peak {
 public:
  void Add(Number more) {
    const Number now = now_ += more;
    Number most = most_;
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
  }
  Number now() const { return now_; }
  Number most() const { return most_; }
  void Reset() { most_ = now_.load(); }

 private:
  std::atomic<Number> now_ = 0;
  std::atomic<Number> most_ = 0;
};

struct Counters {
  std::atomic<int> decoders = 0;
  Peak<int> parsers;
  Peak<std::int64_t> bytes;
  std::atomic<int> mapped = 0;
  std::atomic<std::int64_t> created = 0;
  std::atomic<std::int64_t> reconfigured = 0;
  std::atomic<std::int64_t> decoded = 0;
  std::atomic<std::int64_t> maps = 0;
  std::atomic<std::int64_t> caps = 0;
};
Counters& TheCounters();

constexpr CUresult Error(int number) { return static_cast<CUresult>(number); }

// Every call begins with this. Fails with an injected fault, without a current context, or with its sticky
// error.
CUresult Enter(const char* symbol, CUcontext* context = nullptr);

AVCodecID CodecOf(cudaVideoCodec codec);
// Null when libavcodec has no such decoder.
AVCodecContext* OpenCodec(cudaVideoCodec codec);

CUVIDDECODECAPS CapsOf(cudaVideoCodec codec, cudaVideoChromaFormat chroma, unsigned bit_depth);

using Bytes = std::span<const std::uint8_t>;
bool HasStartCodes(AVCodecID codec);
// Whether the data contains a picture, and not only headers.
bool HasPicture(AVCodecID codec, Bytes data);
// Whether it is a RASL picture of HEVC, which may refer to pictures before its keyframe.
bool IsRasl(AVCodecID codec, Bytes data);
// Whether other pictures may refer to this one.
bool IsReference(AVCodecID codec, Bytes data);
// The fields or frames of a packet; headers belong to the one that follows.
std::vector<Bytes> SplitPictures(AVCodecID codec, Bytes data);

// What the parser passes to the decoder in CUVIDPICPARAMS::Reserved, beside NVIDIA's own fields.
enum ReservedField { kStream, kSerial, kReferencesBefore };

}  // namespace fakes
