#include "media/decode/decode_router.h"

#include <algorithm>

namespace cosmos {
namespace {

// FFmpeg on one core without skipping pictures, until the first measurement.
constexpr double kCpuSpeed = 80 * 1920.0 * 1080.0;

// While a bulk job keeps the hardware busy, each clip that the CPU decodes makes the whole end sooner if more
// clips follow, even one that takes the CPU longer than the hardware would need for all that wait. The bounds
// keep the last clips of a job from ending long after the others; those that wait may be shorter than this
// one.
constexpr double kBulkPatience = 4;
constexpr int kMostBacklog = 4;  // for each slot of the hardware

}  // namespace

DecodePath DecodeRouter::Choose(const DecodeWork& work, const DecodeLoad& load) const {
  if (load.cpu_clips >= load.cpu_slots) return DecodePath::kHardware;
  const bool free_slot = load.hardware_clips < load.hardware_slots;
  const double wait = free_slot ? 0 : load.hardware_seconds / load.hardware_slots;
  const double own = Seconds(DecodePath::kHardware, work);
  double patience = wait + work.setup_seconds + own;
  if (!free_slot && work.backlog > 0) {
    const int backlog = std::min(work.backlog, kMostBacklog * load.hardware_slots);
    patience = kBulkPatience * (patience + backlog * own / load.hardware_slots);
  }
  return Seconds(DecodePath::kSoftware, work) < patience ? DecodePath::kSoftware : DecodePath::kHardware;
}

double DecodeRouter::Seconds(DecodePath path, const DecodeWork& work) const {
  return work.pixels / Speed(path, work.codec);
}

void DecodeRouter::Learn(DecodePath path, const DecodeWork& work, double seconds) {
  if (work.pixels <= 0 || seconds <= 0) return;
  constexpr double kWeight = 0.2;  // of the newest measurement
  // Bounds outliers: a clip that was held up for another reason tells little about speed.
  constexpr double kMaxFactor = 16;
  const double before = Speed(path, work.codec);
  // Measurements may come from a decoder process, and a wrong one must not stay for ever.
  constexpr double kMaxChange = 64;
  const double initial = InitialSpeed(path, work.codec);
  const double measured = std::clamp(work.pixels / seconds, before / kMaxFactor, before * kMaxFactor);
  learned_[{path, work.codec}] =
      std::clamp(before + kWeight * (measured - before), initial / kMaxChange, initial * kMaxChange);
}

double DecodeRouter::Speed(DecodePath path, AVCodecID codec) const {
  const auto found = learned_.find({path, codec});
  return found != learned_.end() ? found->second : InitialSpeed(path, codec);
}

double DecodeRouter::InitialSpeed(DecodePath path, AVCodecID codec) const {
  return path == DecodePath::kSoftware ? kCpuSpeed : hardware_speed_(codec);
}

}  // namespace cosmos
