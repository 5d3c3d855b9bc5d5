#include "isolation/gpu_session.h"

#include <algorithm>
#include <utility>

#include "isolation/sealed_memory.h"
#include "media/nvdec/nvdec.h"

namespace cosmos {
namespace {

// A clip that is being sent, one that later windows repeat, and one that is being made.
constexpr std::size_t kMaxClips = 4;

}  // namespace

GpuSession::Request::Request(GpuSession& session, CancelTokenPtr cancel)
    : session_(session), call_(session.guard_, std::move(cancel)) {
  session_.had_turn_ = session_.learnt_ = session_.counted_ = false;
}

GpuSession::Request::~Request() {
  for (const auto& part : session_.parts_) part->Stop();
  for (const auto& part : session_.parts_) {
    part->End();
    if (session_.part_failure_.ok()) session_.part_failure_ = part->failure();
  }
  session_.parts_.clear();
  session_.turn_.reset();
  session_.guard_.Restart();
}

Result<ClipPtr> GpuSession::ClipOf(std::uint32_t id) const {
  const auto found = clips_.find(id);
  if (found == clips_.end()) return GpuCallRefused("for a clip that it never made");
  return found->second;
}

Result<GpuReply> GpuSession::Handle(const Message& message) {
  for (const auto& part : parts_) COSMOS_RETURN_IF_ERROR(part->failure());
  COSMOS_ASSIGN_OR_RETURN(GpuCall call, DecodeGpuCall(message.body));
  for (const GpuNote& note : call.notes) COSMOS_RETURN_IF_ERROR(Note(note));
  GpuReply reply;
  if (call.kind == GpuCall::Kind::kNotes) return reply;
  GpuAnswer answer;
  answer.status = pictures_.error();
  if (answer.status.ok()) SettleGpuCall(guard_.Check(), pictures_, answer);
  if (answer.status.ok()) COSMOS_RETURN_IF_ERROR(Do(call, message.descriptor, answer, reply));
  reply.answer = Encode(answer);
  return reply;
}

Status GpuSession::Note(const GpuNote& note) {
  switch (note.kind) {
    case GpuNote::Kind::kReset:
    case GpuNote::Kind::kRelease:
    case GpuNote::Kind::kClose: return stream_ ? stream_->Note(note.kind) : GpuCallRefused("for NVDEC");
    case GpuNote::Kind::kEndTurn: turn_.reset(); break;
    case GpuNote::Kind::kLearn: Learn(note); break;
    case GpuNote::Kind::kDropFrame: pictures_.Drop(note.id); break;
    case GpuNote::Kind::kDropClip: clips_.erase(note.id); break;
    case GpuNote::Kind::kCount:
      if (!std::exchange(counted_, true)) gpu_->CountClip(note.id == 1);
      break;
  }
  return {};
}

// One measurement a turn, which cannot be longer than the turn was.
void GpuSession::Learn(const GpuNote& note) {
  if (!turn_ || note.path != turn_->path() || std::exchange(learnt_, true)) return;
  const std::chrono::duration<double> elapsed = Clock::now() - turn_began_;
  gpu_->nvdec_backend()->scheduler().Learn(note.path, note.work, std::min(note.seconds, elapsed.count()));
}

Status GpuSession::Do(GpuCall& call, const Descriptor& memory, GpuAnswer& answer, GpuReply& reply) {
  NvdecBackend* const nvdec = gpu_->nvdec_backend();
  if (!nvdec) return GpuCallRefused("for NVDEC, which it does not have");
  const bool of_nvdec = NvdecCodec(call.stream.codec).has_value();
  switch (call.kind) {
    case GpuCall::Kind::kNotes: break;
    case GpuCall::Kind::kWhyNot: answer.text = nvdec->WhyNot(call.stream); break;
    case GpuCall::Kind::kSetup:
    case GpuCall::Kind::kIdle:
      if (!of_nvdec) return GpuCallRefused("about a codec that NVDEC does not have");
      if (call.kind == GpuCall::Kind::kSetup) answer.seconds = nvdec->SetupSeconds(call.stream);
      if (call.kind == GpuCall::Kind::kIdle) answer.decoders = nvdec->IdleDecoders(call.stream);
      break;
    case GpuCall::Kind::kBeginTurn: return BeginTurn(call, answer, reply);
    case GpuCall::Kind::kOpenPart: return OpenPart(answer, reply);
    case GpuCall::Kind::kOpen:
      if (!HasTurn()) return GpuCallRefused("for a stream out of turn");
      return stream_->Do(call, memory, answer);
    case GpuCall::Kind::kSend:
      if (stream_->open() && !HasTurn()) return GpuCallRefused("to decode out of turn");
      return stream_->Do(call, memory, answer);
    case GpuCall::Kind::kDrain: return stream_->Do(call, memory, answer);
    case GpuCall::Kind::kMakeClip: return MakeClip(call, memory, answer);
  }
  return {};
}

Status GpuSession::BeginTurn(const GpuCall& call, GpuAnswer& answer, GpuReply& reply) {
  if (std::exchange(had_turn_, true)) return GpuCallRefused("for two turns for one clip");
  const auto before = Clock::now();
  DecodeWork work = call.work;
  work.backlog = request_.backlog;
  auto turn = gpu_->nvdec_backend()->scheduler().Begin(work, call.path, guard_);
  turn_began_ = Clock::now();
  reply.waited = turn_began_ - before;
  if (!turn.ok()) {
    SettleGpuCall(turn.TakeStatus(), pictures_, answer);
    return {};
  }
  answer.path = turn.value().path();
  answer.hardware_was_busy = turn.value().hardware_was_busy();
  turn_ = std::move(turn).value();
  return {};
}

// Opens a part while a slot of the hardware is free that no other clip waits for.
Status GpuSession::OpenPart(GpuAnswer& answer, GpuReply& reply) {
  if (!HasTurn()) return GpuCallRefused("for a part out of turn");
  if (static_cast<int>(parts_.size()) >= kMaxGpuParts)
    return GpuCallRefused("for more parts than it may have");
  NvdecBackend& nvdec = *gpu_->nvdec_backend();
  auto turns = nvdec.scheduler().TakeFree(1);
  if (turns.empty()) return {};
  auto opened = GpuPart::Open(nvdec.scheduler(), std::move(turns.front()),
                              std::make_unique<GpuStream>(nvdec, request_, guard_, pictures_), pictures_);
  // Without one, the clip is decoded by what it has.
  if (!opened.ok()) return {};
  auto [part, descriptor] = std::move(opened).value();
  parts_.push_back(std::move(part));
  answer.part = true;
  reply.descriptor = std::move(descriptor);
  return {};
}

Status GpuSession::MakeClip(const GpuCall& call, const Descriptor& memory, GpuAnswer& answer) {
  const ClipShape& shape = request_.shape;
  const auto slots = static_cast<std::size_t>(shape.frames);
  if (!stream_->open() || call.frames.empty()) return GpuCallRefused("for a clip of nothing");
  if (clips_.size() >= kMaxClips) return GpuCallRefused("for more clips than it may hold");
  std::vector<DeviceSlot> device;
  std::vector<bool> filled(slots);
  for (const GpuCall::Frame& frame : call.frames) {
    auto picture = pictures_.Find(frame.id);
    const auto slot = static_cast<std::size_t>(frame.slot);
    if (!picture || slot >= slots || filled[slot]) return GpuCallRefused("for a clip of other frames");
    filled[slot] = true;
    device.push_back({frame.slot, std::move(picture)});
  }
  // The frames in host memory follow each other.
  const std::size_t others = slots - device.size();
  MediaBytes mapped;
  if (others > 0) {
    COSMOS_ASSIGN_OR_RETURN(mapped,
                            MapSealed(memory, static_cast<std::int64_t>(others * shape.frame_bytes())));
  }
  std::vector<const std::uint8_t*> host(slots);
  const std::uint8_t* next = mapped.data.data();
  for (std::size_t slot = 0; slot < slots; ++slot) {
    if (filled[slot]) continue;
    host[slot] = next;
    next += shape.frame_bytes();
  }
  auto clip = gpu_->MakeClip(shape, device, host, stream_->stream(), call.orientation);
  if (!clip.ok()) {
    pictures_.Fail(clip.status());  // it may be one that a decoder process cannot report
    answer.status = clip.TakeStatus();
    return {};
  }
  answer.clip = pictures_.NextId();
  clips_[answer.clip] = std::move(clip).value();
  return {};
}

}  // namespace cosmos
