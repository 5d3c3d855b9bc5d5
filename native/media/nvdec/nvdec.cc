#include "media/nvdec/nvdec.h"

#include <algorithm>
#include <array>
#include <utility>

#include "media/nvdec/nvdec_decoder.h"

namespace cosmos {
namespace {

// The share of the GPU's memory that idle decoders may keep.
constexpr std::size_t kIdleShare = 32;

// While one clip's packets are parsed and its pictures copied, the engine decodes another clip. More than two
// clips do not decode faster: docs/performance.md has the measurement.
constexpr int kWorkersPerEngine = 2;

ExpectedPictures ExpectedOf(const CodedStream& stream) {
  return {.codec = *NvdecCodec(stream.codec),
          .chroma = stream.format.chroma,
          .bit_depth = stream.format.bit_depth,
          .width = stream.width,
          .height = stream.height};
}

}  // namespace

// MPEG-1, MPEG-2 and MPEG-4 are left to the CPU: their standards do not fix the last bit of the inverse
// transform, NVDEC rounds it differently from libavcodec, and the difference grows from picture to picture.
std::optional<cudaVideoCodec> NvdecCodec(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264: return cudaVideoCodec_H264;
    case AV_CODEC_ID_HEVC: return cudaVideoCodec_HEVC;
    case AV_CODEC_ID_VP8: return cudaVideoCodec_VP8;
    case AV_CODEC_ID_VP9: return cudaVideoCodec_VP9;
    case AV_CODEC_ID_AV1: return cudaVideoCodec_AV1;
    default: return std::nullopt;
  }
}

// From NVIDIA's table for 1080p and the NVDEC generation of Hopper, at Hopper's clock.
double NvdecSpeed(AVCodecID codec) {
  constexpr double kFullHd = 1920.0 * 1080.0;
  switch (codec) {
    case AV_CODEC_ID_HEVC: return 1090 * kFullHd;
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1: return 770 * kFullHd;
    default: return 640 * kFullHd;
  }
}

Nvdec::Nvdec(const cuda::Device& device, cuda::BufferPool& buffers, const Nvcuvid& library)
    : device_(device),
      buffers_(buffers),
      library_(library),
      pool_(library, device, {.max_idle_bytes = device.info().total_bytes / kIdleShare},
            [&buffers] { buffers.Trim(); }) {}

Result<std::unique_ptr<Nvdec>> Nvdec::Open(const cuda::Device& device, cuda::BufferPool& buffers,
                                           const GpuOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(auto library, Nvcuvid::Open(options.nvcuvid_library));
  std::unique_ptr<Nvdec> nvdec(new Nvdec(device, buffers, *library));
  COSMOS_RETURN_IF_ERROR(nvdec->Start(options));
  return nvdec;
}

Status Nvdec::Start(const GpuOptions& options) {
  Status failed;
  for (const cudaVideoCodec codec :
       {cudaVideoCodec_H264, cudaVideoCodec_HEVC, cudaVideoCodec_VP9, cudaVideoCodec_AV1}) {
    auto caps = QueryCaps(codec, 1, 8);
    if (!caps.ok()) {
      // A driver older than a codec may fail the query.
      if (caps.status().code() == StatusCode::kDeviceLost) return caps.TakeStatus();
      failed = caps.TakeStatus();
      continue;
    }
    caps_.emplace(std::tuple(codec, 1, 8), caps.value());
    if (caps->bIsSupported) engines_ = std::max<int>({engines_, caps->nNumNVDECs, 1});
  }
  if (engines_ == 0) {
    if (!failed.ok()) return failed;
    return Status(StatusCode::kLibrary, device_.info().name + " has no NVDEC that decodes a supported codec")
        .With("library", library_.library());
  }
  workers_ = options.nvdec_workers > 0 ? options.nvdec_workers : kWorkersPerEngine * engines_;
  scheduler_ = std::make_unique<DecodeScheduler>(workers_, std::max(options.cpu_workers, 0), NvdecSpeed);
  return {};
}

Result<CUVIDDECODECAPS> Nvdec::QueryCaps(cudaVideoCodec codec, int chroma, int bit_depth) const {
  COSMOS_RETURN_IF_ERROR(device_.MakeCurrent());
  CUVIDDECODECAPS caps{};
  caps.eCodecType = codec;
  caps.eChromaFormat = static_cast<cudaVideoChromaFormat>(chroma);
  caps.nBitDepthMinus8 = bit_depth - 8;
  COSMOS_RETURN_IF_ERROR(device_.Check(api().GetDecoderCaps(&caps), "NVDEC's capabilities cannot be queried",
                                       StatusCode::kLibrary));
  return caps;
}

CUVIDDECODECAPS Nvdec::Caps(cudaVideoCodec codec, int chroma, int bit_depth) {
  const std::lock_guard lock(mutex_);
  const std::tuple key(codec, chroma, bit_depth);
  if (const auto found = caps_.find(key); found != caps_.end()) return found->second;
  auto caps = QueryCaps(codec, chroma, bit_depth);
  if (!caps.ok()) return {};
  return caps_.emplace(key, caps.value()).first->second;
}

std::vector<NvdecCapability> Nvdec::Capabilities() {
  struct Format {
    AVCodecID codec;
    int chroma;
    int bit_depth;
  };
  constexpr std::array kFormats = {
      Format{AV_CODEC_ID_H264, 1, 8},  Format{AV_CODEC_ID_H264, 1, 10}, Format{AV_CODEC_ID_HEVC, 1, 8},
      Format{AV_CODEC_ID_HEVC, 1, 10}, Format{AV_CODEC_ID_HEVC, 1, 12}, Format{AV_CODEC_ID_HEVC, 3, 8},
      Format{AV_CODEC_ID_HEVC, 3, 10}, Format{AV_CODEC_ID_VP9, 1, 8},   Format{AV_CODEC_ID_VP9, 1, 10},
      Format{AV_CODEC_ID_AV1, 1, 8},   Format{AV_CODEC_ID_AV1, 1, 10},  Format{AV_CODEC_ID_VP8, 1, 8},
  };
  std::vector<NvdecCapability> capabilities;
  for (const Format& format : kFormats) {
    const CUVIDDECODECAPS caps = Caps(*NvdecCodec(format.codec), format.chroma, format.bit_depth);
    capabilities.push_back({.codec = avcodec_get_name(format.codec),
                            .chroma = format.chroma == 3 ? "444" : "420",
                            .bit_depth = format.bit_depth,
                            .supported = caps.bIsSupported != 0,
                            .max_width = static_cast<int>(caps.nMaxWidth),
                            .max_height = static_cast<int>(caps.nMaxHeight),
                            .engines = caps.nNumNVDECs});
  }
  return capabilities;
}

std::string Nvdec::WhyNot(const CodedStream& stream) {
  return WhyNot(stream.codec, stream.format, stream.width, stream.height);
}

std::string Nvdec::WhyNot(AVCodecID codec, const PictureFormat& format, int width, int height) {
  const std::string nvdec = "NVDEC of " + device_.info().name;
  const std::string what = std::string(avcodec_get_name(codec)) + " " +
                           (format.rgb ? "RGB" : DescribeFormat(format.chroma, format.bit_depth));
  const auto known = NvdecCodec(codec);
  if (!known) return "NVDEC is not used for " + std::string(avcodec_get_name(codec));
  const bool has_layout = (format.chroma == 1 || format.chroma == 3) && !format.rgb;
  const CUVIDDECODECAPS caps = has_layout ? Caps(*known, format.chroma, format.bit_depth) : CUVIDDECODECAPS{};
  if (!caps.bIsSupported) return nvdec + " does not decode " + what;
  if (width <= 0 || height <= 0) return {};
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  constexpr std::int64_t kMacroblock = 256;  // pixels
  if (width < caps.nMinWidth || height < caps.nMinHeight || width > static_cast<int>(caps.nMaxWidth) ||
      height > static_cast<int>(caps.nMaxHeight) ||
      std::int64_t{width} * height / kMacroblock > caps.nMaxMBCount) {
    return nvdec + " does not decode " + what + " of " + size + ", only from " +
           std::to_string(caps.nMinWidth) + " x " + std::to_string(caps.nMinHeight) + " to " +
           std::to_string(caps.nMaxWidth) + " x " + std::to_string(caps.nMaxHeight);
  }
  return {};
}

double Nvdec::SetupSeconds(const CodedStream& stream) const {
  switch (pool_.EffortFor(ExpectedOf(stream))) {
    case NvdecPool::Effort::kReuse: return 0;
    case NvdecPool::Effort::kReconfigure: return 0.006;
    case NvdecPool::Effort::kCreate: break;
  }
  return 0.06;
}

int Nvdec::IdleDecoders(const CodedStream& stream) const { return pool_.IdleFor(ExpectedOf(stream)); }

Result<std::unique_ptr<NvdecStream>> Nvdec::Open(CodedStream stream, const DecodeLimits& limits,
                                                 const JobGuard& guard) {
  COSMOS_ASSIGN_OR_RETURN(auto decoder, NvdecDecoder::Open(*this, std::move(stream), limits, guard));
  return std::unique_ptr<NvdecStream>(std::move(decoder));
}

}  // namespace cosmos
