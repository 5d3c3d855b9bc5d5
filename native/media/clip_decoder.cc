#include "media/clip_decoder.h"

#include <algorithm>
#include <utility>

#include "base/stopwatch.h"
#include "media/demux/picture_format.h"

namespace cosmos {
namespace {

// Until NVDEC has a decoder.
double SetupSeconds(NvdecPool::Effort effort) {
  switch (effort) {
    case NvdecPool::Effort::kReuse: return 0;
    case NvdecPool::Effort::kReconfigure: return 0.006;
    default: return 0.06;
  }
}

}  // namespace

Status ClipDecoder::Open() {
  // Threads of its own are for a decoder that will be used.
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

std::string ClipDecoder::WhyNotNvdec() const {
  if (request_.keep_images) return "frames at their own size come from the CPU";
  Nvdec* nvdec = request_.gpu->nvdec();
  if (!nvdec) return request_.gpu->nvdec_reason();
  // NVDEC's parser gets the headers once, in front of the first packet.
  if (scan_.parameter_sets.change()) return "the container changes the parameter sets in mid-stream";
  const AVCodecParameters& parameters = demuxer_.parameters();
  // What the parameters do not say, NVDEC's parser will.
  const PictureFormat format = PictureFormatOf(parameters).value_or(PictureFormat());
  return nvdec->WhyNot(parameters.codec_id, format, parameters.width, parameters.height);
}

DecodeWork ClipDecoder::Work(const DecodePlan& plan, int clips) const {
  const AVCodecParameters& parameters = demuxer_.parameters();
  double pictures = 0;
  for (const DecodeRun& run : plan.runs) pictures += run.last - run.first + 1;
  return {.codec = parameters.codec_id, .pixels = pictures / clips * parameters.width * parameters.height};
}

Status ClipDecoder::Begin(const DecodePlan& plan, int clips) {
  wanted_ = plan.wanted.size();
  if (request_.gpu) {
    COSMOS_RETURN_IF_ERROR(Choose(Work(plan, clips)));
    if (!pictures_ && path_ == DecodePath::kNvdec) COSMOS_RETURN_IF_ERROR(OpenNvdec());
  }
  if (!pictures_ && nvdec_ && clips == 1 && plan.runs.size() > 1 && scan_.index.seekable()) {
    whole_plan_ = &plan;
  } else if (!pictures_) {
    COSMOS_RETURN_IF_ERROR(OpenStream(plan));
  }
  before_ = counts();
  return {};
}

// Where other engines idle, they take some of the runs. A decoder has to be there for each: creating one
// takes longer than decoding some runs, so a clip creates one at most, and those that follow find more and
// more.
Status ClipDecoder::DecodeInParallel(const DecodePlan& plan) {
  Nvdec& nvdec = *request_.gpu->nvdec();
  const AVCodecParameters& parameters = demuxer_.parameters();
  const int idle =
      nvdec.pool().IdleFor(*NvdecCodec(parameters.codec_id), parameters.width, parameters.height);
  const auto turns = nvdec.scheduler().TakeFree(std::min(idle, static_cast<int>(plan.runs.size()) - 1));
  if (!turns.empty()) {
    COSMOS_ASSIGN_OR_RETURN(auto decoded,
                            cosmos::DecodeInParallel({.media = media_,
                                                      .scan = scan_,
                                                      .plan = plan,
                                                      .limits = request_.limits,
                                                      .guard = guard_,
                                                      .nvdec = nvdec},
                                                     1 + static_cast<int>(turns.size()), demuxer_, *nvdec_));
    if (decoded) {
      parallel_ = *std::move(decoded);
      return {};
    }
  }
  return OpenStream(plan);
}

Status ClipDecoder::OpenNvdec() {
  auto nvdec = NvdecDecoder::Open(*request_.gpu->nvdec(), demuxer_.parameters(), scan_.index, request_.limits,
                                  [this] { return guard_.Check(); });
  if (nvdec.ok()) {
    nvdec_ = std::move(nvdec).value();
    return {};
  }
  if (nvdec.status().code() == StatusCode::kDeviceLost) return nvdec.TakeStatus();
  path_ = DecodePath::kSoftware;
  reason_ = nvdec.status().message();
  turn_ = {};
  return {};
}

Status ClipDecoder::Choose(const DecodeWork& clip) {
  DecodeWork work = clip;
  if (!path_) {
    reason_ = WhyNotNvdec();
    if (!reason_.empty()) path_ = DecodePath::kSoftware;
  }
  Nvdec* nvdec = request_.gpu->nvdec();
  if (!nvdec) return {};
  if (!nvdec_ && path_ != DecodePath::kSoftware) {
    const AVCodecParameters& parameters = demuxer_.parameters();
    work.setup_seconds = SetupSeconds(
        nvdec->pool().EffortFor(*NvdecCodec(parameters.codec_id), parameters.width, parameters.height));
  }
  const Stopwatch waiting;
  auto turn = nvdec->scheduler().Begin(work, path_, guard_);
  waited_ms_ += waiting.Milliseconds();
  if (!turn.ok()) return turn.TakeStatus();
  turn_ = std::move(turn).value();
  setup_seconds_ = work.setup_seconds;
  if (!path_ && turn_.path() == DecodePath::kSoftware) {
    reason_ = std::string(turn_.nvdec_was_busy() ? "NVDEC was busy" : "the clip is short") +
              ": the CPU was estimated to finish first";
  }
  path_ = turn_.path();
  return {};
}

Status ClipDecoder::OpenStream(const DecodePlan& plan) {
  if (!nvdec_ && request_.gpu && request_.threads > 1) {
    COSMOS_ASSIGN_OR_RETURN(software_, OpenSoftware(request_.threads));
  }
  PictureStream::MakeCarefulDecoder make_careful;
  if (nvdec_) {
    // The one that was opened first has had nothing to do.
    make_careful = [this]() -> Result<std::unique_ptr<Decoder>> {
      careful_ = software_.get();
      return std::unique_ptr<Decoder>(std::move(software_));
    };
  } else if (request_.threads > 1) {
    make_careful = [this]() -> Result<std::unique_ptr<Decoder>> {
      COSMOS_ASSIGN_OR_RETURN(auto careful, OpenSoftware(1));
      careful_ = careful.get();
      return std::unique_ptr<Decoder>(std::move(careful));
    };
  }
  Decoder& decoder = nvdec_ ? static_cast<Decoder&>(*nvdec_) : *software_;
  pictures_ =
      std::make_unique<PictureStream>(demuxer_, decoder, std::move(make_careful), scan_.index,
                                      scan_.parameter_sets, plan, request_.limits.max_packets_without_frame);
  return {};
}

Result<std::optional<WantedPicture>> ClipDecoder::Next() {
  if (whole_plan_) COSMOS_RETURN_IF_ERROR(DecodeInParallel(*std::exchange(whole_plan_, nullptr)));
  if (!pictures_) {
    if (delivered_ == parallel_.pictures.size()) return std::optional<WantedPicture>();
    return std::optional(std::move(parallel_.pictures[delivered_++]));
  }
  auto picture = pictures_->Next();
  if (picture.ok() && picture.value()) ++delivered_;
  if (nvdec_ && nvdec_->gave_up() && path_ == DecodePath::kNvdec) {
    // The CPU does it all from here on: somebody else may have the place.
    path_ = DecodePath::kSoftware;
    turn_ = {};
  }
  return picture;
}

void ClipDecoder::End(double decode_ms) {
  if (request_.gpu && request_.gpu->nvdec() && pictures_) {
    const DecodeCounts& counts = pictures_->counts();
    const AVCodecParameters& parameters = demuxer_.parameters();
    const auto pictures =
        static_cast<double>(counts.decoded + counts.discarded - before_.decoded - before_.discarded);
    // A clip that was decoded twice, or waited for a decoder, says nothing about speed.
    if (!careful_ && setup_seconds_ == 0) {
      constexpr double kMilliseconds = 1e-3;
      request_.gpu->nvdec()->scheduler().Learn(
          *path_, {.codec = parameters.codec_id, .pixels = pictures * parameters.width * parameters.height},
          decode_ms * kMilliseconds);
    }
  }
  // Before the place, or whoever has it next finds no decoder and creates one.
  if (nvdec_ && delivered_ == wanted_) nvdec_->Rest();
  turn_ = {};
}

int ClipDecoder::refusal() const {
  if (careful_ && careful_->refusal() != 0) return careful_->refusal();
  return software_ ? software_->refusal() : 0;
}

std::string ClipDecoder::reason() const {
  if (!reason_.empty() || !nvdec_) return reason_;
  if (nvdec_->gave_up()) return nvdec_->reason();
  return "damage: " + (nvdec_->reason().empty() ? "a picture was not whole" : nvdec_->reason());
}

}  // namespace cosmos
