// What the parts of the double of libnvcuvid share.
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

// Of the double of libcuda, whose header has types only.
extern "C" {
CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total);
CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuCtxGetCurrent(CUcontext* context);
}

#define FAKE_NVCUVID_API extern "C" FAKE_NVCUVID_EXPORT CUresult

namespace fakes {

struct Counters {
  std::atomic<int> decoders = 0;
  std::atomic<int> parsers = 0;
  std::atomic<int> mapped = 0;
  std::atomic<std::int64_t> created = 0;
  std::atomic<std::int64_t> reconfigured = 0;
  std::atomic<std::int64_t> decoded = 0;
  std::atomic<std::int64_t> maps = 0;
  std::atomic<std::int64_t> caps = 0;
};
Counters& TheCounters();

constexpr CUresult Error(int number) { return static_cast<CUresult>(number); }

// Every call begins with this: a fault, no current context, or a context that is poisoned.
CUresult Enter(const char* symbol, CUcontext* context = nullptr);

AVCodecID CodecOf(cudaVideoCodec codec);
// Null when there is no such decoder.
AVCodecContext* OpenCodec(cudaVideoCodec codec);

CUVIDDECODECAPS CapsOf(cudaVideoCodec codec, cudaVideoChromaFormat chroma, unsigned bit_depth);

using Bytes = std::span<const std::uint8_t>;
bool HasStartCodes(AVCodecID codec);
// Whether there is a picture in it, and not only headers.
bool HasPicture(AVCodecID codec, Bytes data);
// Whether it is a picture of HEVC's that refers to what comes before the keyframe it is shown before.
bool IsRasl(AVCodecID codec, Bytes data);
// Whether other pictures may refer to the picture.
bool IsReference(AVCodecID codec, Bytes data);
// The fields or frames that a packet holds, headers going with what follows.
std::vector<Bytes> SplitPictures(AVCodecID codec, Bytes data);

// What the parser tells the decoder beside NVIDIA's own fields, in CUVIDPICPARAMS::Reserved.
enum Hidden { kStream, kSerial, kReferencesBefore };

}  // namespace fakes
