// What the fake can decode.
#include <cstdlib>
#include <sstream>
#include <string>

#include "nvcuvid/state.h"

namespace fakes {
namespace {

// NVIDIA's table for Turing, GA100 and Hopper: no AV1, no H.264 but 8-bit 4:2:0.
constexpr const char* kHopper =
    "mpeg1video:420:8 mpeg2video:420:8 mpeg4:420:8 h264:420:8 vp8:420:8 vp9:420:8 vp9:420:10 vp9:420:12 "
    "hevc:420:8 hevc:420:10 hevc:420:12 hevc:444:8 hevc:444:10 hevc:444:12";

struct Size {
  unsigned short min_width;
  unsigned short min_height;
  unsigned max;
};

Size SizeOf(cudaVideoCodec codec) {
  switch (codec) {
    case cudaVideoCodec_HEVC: return {144, 144, 8192};
    case cudaVideoCodec_VP9: return {128, 128, 8192};
    case cudaVideoCodec_MPEG4: return {48, 16, 2032};
    default: return {48, 16, 4096};
  }
}

const char* EnvironmentOr(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

}  // namespace

CUVIDDECODECAPS CapsOf(cudaVideoCodec codec, cudaVideoChromaFormat chroma, unsigned bit_depth) {
  CUVIDDECODECAPS caps{};
  caps.eCodecType = codec;
  caps.eChromaFormat = chroma;
  caps.nBitDepthMinus8 = bit_depth - 8;
  const char* subsampling = chroma == cudaVideoChromaFormat_444 ? "444" : "420";
  if (chroma != cudaVideoChromaFormat_444 && chroma != cudaVideoChromaFormat_420) return caps;
  const AVCodecID id = codec == cudaVideoCodec_AV1 ? AV_CODEC_ID_AV1 : CodecOf(codec);
  const std::string wanted =
      std::string(avcodec_get_name(id)) + ":" + subsampling + ":" + std::to_string(bit_depth);
  std::istringstream words(EnvironmentOr("COSMOS_FAKE_NVDEC_CAPS", kHopper));
  for (std::string word; words >> word;) {
    if (word != wanted) continue;
    const Size size = SizeOf(codec);
    caps.bIsSupported = 1;
    caps.nNumNVDECs = static_cast<unsigned char>(std::atoi(EnvironmentOr("COSMOS_FAKE_NVDEC_ENGINES", "7")));
    const bool deep = bit_depth > 8;
    const int format = chroma == cudaVideoChromaFormat_444 ? (deep ? 3 : 2) : (deep ? 1 : 0);
    caps.nOutputFormatMask = static_cast<unsigned short>(1 << format);
    caps.nMinWidth = size.min_width;
    caps.nMinHeight = size.min_height;
    caps.nMaxWidth = size.max;
    caps.nMaxHeight = size.max;
    caps.nMaxMBCount = size.max * size.max / 256;
  }
  return caps;
}

FAKE_NVCUVID_API cuvidGetDecoderCaps(CUVIDDECODECAPS* caps) {
  if (const CUresult refused = Enter("cuvidGetDecoderCaps"); refused != CUDA_SUCCESS) return refused;
  ++TheCounters().caps;
  for (const unsigned reserved : caps->reserved1)
    if (reserved != 0) return Error(1);
  *caps = CapsOf(caps->eCodecType, caps->eChromaFormat, caps->nBitDepthMinus8 + 8);
  return CUDA_SUCCESS;
}

}  // namespace fakes
