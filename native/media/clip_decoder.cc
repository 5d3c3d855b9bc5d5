#include "media/clip_decoder.h"

#include <algorithm>
#include <utility>

#include "base/stopwatch.h"
#include "media/nvdec/decoding_gpu.h"

namespace cosmos {

Status ClipDecoder::Open() {
  // With a GPU the CPU's decoder may never be used: OpenPictures opens it again with its threads if it is.
  COSMOS_ASSIGN_OR_RETURN(software_, OpenSoftware(request_.gpu ? 1 : request_.threads));
  return {};
}

Result<std::unique_ptr<SoftwareDecoder>> ClipDecoder::OpenSoftware(int threads) const {
  return SoftwareDecoder::Open(demuxer_.parameters(), {.threads = threads,
                                                       .reorder_depth = scan_.index.reorder_depth(),
                                                       .time_base = demuxer_.stream().time_base,
                                                       .limits = request_.limits,
                                                       .guard = &guard_});
}

DecoderBackend* ClipDecoder::backend() const { return request_.gpu ? request_.gpu->backend() : nullptr; }

std::string ClipDecoder::WhyNotHardware() const {
  if (request_.keep_images) return "frames at their own size come from the CPU";
  if (!backend()) return request_.gpu->nvdec_reason();
  return backend()->WhyNot(demuxer_.parameters(), scan_.parameter_sets);
}

DecodeWork ClipDecoder::WorkOf(const DecodePlan& plan, int clips) const {
  const AVCodecParameters& parameters = demuxer_.parameters();
  double pictures = 0;
  for (const DecodeRun& run : plan.runs) pictures += run.last - run.first + 1;
  return {.codec = parameters.codec_id,
          .pixels = pictures / clips * parameters.width * parameters.height,
          .backlog = request_.backlog};
}

Status ClipDecoder::Begin(const DecodePlan& plan, int clips) {
  wanted_ = plan.wanted.size();
  if (request_.gpu) {
    COSMOS_RETURN_IF_ERROR(ChoosePath(WorkOf(plan, clips)));
    if (!pictures_ && path_ == DecodePath::kHardware) COSMOS_RETURN_IF_ERROR(OpenHardware());
  }
  if (!pictures_ && hardware_ && clips == 1 && plan.runs.size() > 1 && scan_.index.seekable()) {
    parallel_plan_ = &plan;
  } else if (!pictures_) {
    COSMOS_RETURN_IF_ERROR(OpenPictures(plan));
  }
  counts_at_begin_ = counts();
  return {};
}

// Slots that are free take some of the runs. Each needs an idle decoder, because creating one takes longer
// than decoding a few runs: a clip creates only its first decoder, and later clips find more of them idle.
Status ClipDecoder::DecodeInParallel(const DecodePlan& plan) {
  const int idle = backend()->IdleDecoders(demuxer_.parameters());
  const auto turns = backend()->scheduler().TakeFree(std::min(idle, static_cast<int>(plan.runs.size()) - 1));
  if (!turns.empty()) {
    COSMOS_ASSIGN_OR_RETURN(
        auto decoded, cosmos::DecodeInParallel({.media = media_,
                                                .scan = scan_,
                                                .plan = plan,
                                                .limits = request_.limits,
                                                .guard = guard_,
                                                .backend = *backend()},
                                               1 + static_cast<int>(turns.size()), demuxer_, *hardware_));
    if (decoded) {
      parallel_ = *std::move(decoded);
      return {};
    }
  }
  return OpenPictures(plan);
}

Status ClipDecoder::OpenHardware() {
  auto hardware = backend()->Open(demuxer_.parameters(), scan_.index, request_.limits, guard_);
  if (hardware.ok()) {
    hardware_ = std::move(hardware).value();
    return {};
  }
  if (hardware.status().code() == StatusCode::kDeviceLost) return hardware.TakeStatus();
  path_ = DecodePath::kSoftware;
  reason_ = hardware.status().message();
  turn_ = {};
  return {};
}

Status ClipDecoder::ChoosePath(DecodeWork work) {
  if (!path_) {
    reason_ = WhyNotHardware();
    if (!reason_.empty()) path_ = DecodePath::kSoftware;
  }
  if (!backend()) return {};
  if (!hardware_ && path_ != DecodePath::kSoftware) {
    work.setup_seconds = backend()->SetupSeconds(demuxer_.parameters());
  }
  const Stopwatch waiting;
  auto turn = backend()->scheduler().Begin(work, path_, guard_);
  waited_ms_ += waiting.Milliseconds();
  if (!turn.ok()) return turn.TakeStatus();
  turn_ = std::move(turn).value();
  setup_seconds_ = work.setup_seconds;
  if (!path_ && turn_.path() == DecodePath::kSoftware) {
    reason_ = turn_.hardware_was_busy() ? backend()->name() + " was busy: the CPU had a free place"
                                        : "the clip is short: the CPU was estimated to finish first";
  }
  path_ = turn_.path();
  return {};
}

Status ClipDecoder::OpenPictures(const DecodePlan& plan) {
  if (!hardware_ && request_.gpu && request_.threads > 1) {
    COSMOS_ASSIGN_OR_RETURN(software_, OpenSoftware(request_.threads));
  }
  PictureStream::MakeRecoveryDecoder make_recovery;
  if (hardware_) {
    // Open made a decoder with one thread, which has not been used.
    make_recovery = [this]() -> Result<std::unique_ptr<Decoder>> {
      recovery_ = software_.get();
      return std::unique_ptr<Decoder>(std::move(software_));
    };
  } else if (request_.threads > 1) {
    make_recovery = [this]() -> Result<std::unique_ptr<Decoder>> {
      COSMOS_ASSIGN_OR_RETURN(auto recovery, OpenSoftware(1));
      recovery_ = recovery.get();
      return std::unique_ptr<Decoder>(std::move(recovery));
    };
  }
  Decoder& decoder = hardware_ ? static_cast<Decoder&>(*hardware_) : *software_;
  pictures_ =
      std::make_unique<PictureStream>(demuxer_, decoder, std::move(make_recovery), scan_.index,
                                      scan_.parameter_sets, plan, request_.limits.max_packets_without_frame);
  return {};
}

Result<std::optional<WantedPicture>> ClipDecoder::Next() {
  if (parallel_plan_) COSMOS_RETURN_IF_ERROR(DecodeInParallel(*std::exchange(parallel_plan_, nullptr)));
  if (!pictures_) {
    if (delivered_ == parallel_.pictures.size()) return std::optional<WantedPicture>();
    return std::optional(std::move(parallel_.pictures[delivered_++]));
  }
  auto picture = pictures_->Next();
  if (picture.ok() && picture.value()) ++delivered_;
  if (hardware_ && hardware_->gave_up() && path_ == DecodePath::kHardware) {
    // The CPU decodes everything from here on, so the slot is freed early.
    path_ = DecodePath::kSoftware;
    turn_ = {};
  }
  return picture;
}

void ClipDecoder::End(double decode_ms) {
  if (backend() && pictures_) {
    const DecodeCounts& counts = pictures_->counts();
    const AVCodecParameters& parameters = demuxer_.parameters();
    const auto pictures = static_cast<double>(counts.decoded + counts.discarded - counts_at_begin_.decoded -
                                              counts_at_begin_.discarded);
    // A clip that was decoded twice, or that waited for a decoder, is no measure of speed.
    if (!recovery_ && setup_seconds_ == 0) {
      constexpr double kMilliseconds = 1e-3;
      backend()->scheduler().Learn(
          *path_, {.codec = parameters.codec_id, .pixels = pictures * parameters.width * parameters.height},
          decode_ms * kMilliseconds);
    }
  }
  // Before the slot is freed: the next clip in it would find no idle decoder and create one.
  if (hardware_ && delivered_ == wanted_) hardware_->Release();
  turn_ = {};
}

int ClipDecoder::refusal() const {
  if (recovery_ && recovery_->refusal() != 0) return recovery_->refusal();
  return software_ ? software_->refusal() : 0;
}

std::string ClipDecoder::reason() const {
  if (!reason_.empty() || !hardware_) return reason_;
  if (hardware_->gave_up()) return hardware_->reason();
  return "damage: " + (hardware_->reason().empty() ? "a picture was not whole" : hardware_->reason());
}

}  // namespace cosmos
