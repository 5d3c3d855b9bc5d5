#include "media/nvdec/decode_router.h"

#include <algorithm>

namespace cosmos {
namespace {

// Pixels per second before anything was measured. NVDEC: one engine at 1080p as NVIDIA's table has it for the
// architecture that Hopper shares, at Hopper's clock. CPU: FFmpeg on one core, skipping nothing.
double Prior(DecodePath path, AVCodecID codec) {
  constexpr double kFullHd = 1920.0 * 1080.0;
  if (path == DecodePath::kSoftware) return 80 * kFullHd;
  switch (codec) {
    case AV_CODEC_ID_HEVC: return 1090 * kFullHd;
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1: return 770 * kFullHd;
    default: return 640 * kFullHd;
  }
}

}  // namespace

DecodePath DecodeRouter::Choose(const DecodeWork& work, const DecodeLoad& load) const {
  if (load.cpu_clips >= load.cpu_slots) return DecodePath::kNvdec;
  const bool free_slot = load.nvdec_clips < load.nvdec_slots;
  const double wait = free_slot ? 0 : load.nvdec_seconds / load.nvdec_slots;
  const double nvdec = wait + work.setup_seconds + Seconds(DecodePath::kNvdec, work);
  return Seconds(DecodePath::kSoftware, work) < nvdec ? DecodePath::kSoftware : DecodePath::kNvdec;
}

double DecodeRouter::Seconds(DecodePath path, const DecodeWork& work) const {
  return work.pixels / Speed(path, work.codec);
}

void DecodeRouter::Learn(DecodePath path, const DecodeWork& work, double seconds) {
  if (work.pixels <= 0 || seconds <= 0) return;
  constexpr double kWeight = 0.2;     // of the newest
  constexpr double kMostAtOnce = 16;  // a clip that was held up for some other reason says little
  const double before = Speed(path, work.codec);
  const double measured = std::clamp(work.pixels / seconds, before / kMostAtOnce, before * kMostAtOnce);
  learned_[{path, work.codec}] = before + kWeight * (measured - before);
}

double DecodeRouter::Speed(DecodePath path, AVCodecID codec) const {
  const auto found = learned_.find({path, codec});
  return found != learned_.end() ? found->second : Prior(path, codec);
}

}  // namespace cosmos
