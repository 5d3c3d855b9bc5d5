#include "nvcuvid/state.h"

namespace fakes {

Counters& TheCounters() {
  static Counters counters;
  return counters;
}

CUresult Enter(const char* symbol, CUcontext* context) {
  if (const auto fault = Fault(symbol)) return Error(*fault);
  CUcontext current = nullptr;
  std::size_t free = 0;
  std::size_t total = 0;
  if (const CUresult result = cuMemGetInfo_v2(&free, &total); result != CUDA_SUCCESS) return result;
  if (const CUresult result = cuCtxGetCurrent(&current); result != CUDA_SUCCESS) return result;
  if (context) *context = current;
  return CUDA_SUCCESS;
}

AVCodecID CodecOf(cudaVideoCodec codec) {
  switch (codec) {
    case cudaVideoCodec_MPEG1: return AV_CODEC_ID_MPEG1VIDEO;
    case cudaVideoCodec_MPEG2: return AV_CODEC_ID_MPEG2VIDEO;
    case cudaVideoCodec_MPEG4: return AV_CODEC_ID_MPEG4;
    case cudaVideoCodec_H264: return AV_CODEC_ID_H264;
    case cudaVideoCodec_HEVC: return AV_CODEC_ID_HEVC;
    case cudaVideoCodec_VP8: return AV_CODEC_ID_VP8;
    case cudaVideoCodec_VP9: return AV_CODEC_ID_VP9;
    default: return AV_CODEC_ID_NONE;
  }
}

AVCodecContext* OpenCodec(cudaVideoCodec codec) {
  const AVCodec* decoder = avcodec_find_decoder(CodecOf(codec));
  AVCodecContext* context = decoder ? avcodec_alloc_context3(decoder) : nullptr;
  if (!context) return nullptr;
  context->thread_count = 1;
  context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
  // Delays output by as many pictures as the stream may reorder, not only as many as it has reordered so far.
  context->strict_std_compliance = FF_COMPLIANCE_STRICT;
  context->apply_cropping = 0;
  if (avcodec_open2(context, decoder, nullptr) < 0) avcodec_free_context(&context);
  return context;
}

}  // namespace fakes

extern "C" {
FakeNvcuvidCounts fake_nvcuvid_counts() {
  const auto& counters = fakes::TheCounters();
  return {counters.decoders, counters.parsers.now(),  counters.mapped,      counters.bytes.now(),
          counters.created,  counters.reconfigured,   counters.decoded,     counters.maps,
          counters.caps,     counters.parsers.most(), counters.bytes.most()};
}

void fake_nvcuvid_reset() {
  auto& counters = fakes::TheCounters();
  counters.created = 0;
  counters.reconfigured = 0;
  counters.decoded = 0;
  counters.maps = 0;
  counters.caps = 0;
  counters.parsers.Reset();
  counters.bytes.Reset();
}
}
