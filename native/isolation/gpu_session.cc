#include "isolation/gpu_session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "isolation/sealed_memory.h"
#include "media/nvdec/device_frame.h"
#include "media/nvdec/nvdec.h"

namespace cosmos {
namespace {

// A clip that is being sent, one that later windows repeat, and one that is being made.
constexpr std::size_t kMaxClips = 4;

Status Refused(const char* what) { return {StatusCode::kInternal, std::string("it asked the GPU ") + what}; }

}  // namespace

GpuSession::Request::Request(GpuSession& session, CancelTokenPtr cancel)
    : session_(session), call_(session.guard_, std::move(cancel)) {
  session_.had_turn_ = session_.learnt_ = session_.counted_ = false;
}

GpuSession::Request::~Request() {
  session_.turn_.reset();
  session_.guard_.Restart();
}

Result<ClipPtr> GpuSession::ClipOf(std::uint32_t id) const {
  const auto found = clips_.find(id);
  if (found == clips_.end()) return Refused("for a clip that it never made");
  return found->second;
}

Result<std::optional<Bytes>> GpuSession::Handle(const Message& message) {
  COSMOS_ASSIGN_OR_RETURN(GpuCall call, DecodeGpuCall(message.body));
  for (const GpuNote& note : call.notes) COSMOS_RETURN_IF_ERROR(Note(note));
  if (call.kind == GpuCall::Kind::kNotes) return std::optional<Bytes>();
  GpuAnswer answer;
  if (error_.ok()) Settle(guard_.Check(), answer);
  if (error_.ok()) {
    COSMOS_RETURN_IF_ERROR(Do(call, message.descriptor, answer));
  } else {
    answer.status = error_;
  }
  return std::optional(Encode(answer));
}

// Reports a failure, and keeps it if the clip cannot go on.
void GpuSession::Settle(Status status, GpuAnswer& answer) {
  if (EndsClip(status.code())) error_ = status;
  if (!status.ok()) answer.status = std::move(status);
}

Status GpuSession::Note(const GpuNote& note) {
  switch (note.kind) {
    case GpuNote::Kind::kReset:
    case GpuNote::Kind::kRelease:
      if (!stream_) return Refused("to reset what is not open");
      note.kind == GpuNote::Kind::kReset ? stream_->Reset() : stream_->Release();
      last_place_ = -1;
      without_picture_ = 0;
      break;
    case GpuNote::Kind::kClose: stream_.reset(); break;
    case GpuNote::Kind::kEndTurn: turn_.reset(); break;
    case GpuNote::Kind::kLearn: Learn(note); break;
    case GpuNote::Kind::kDropFrame: frames_.erase(note.id); break;
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

Status GpuSession::Do(GpuCall& call, const Descriptor& memory, GpuAnswer& answer) {
  NvdecBackend* const nvdec = gpu_->nvdec_backend();
  if (!nvdec) return Refused("for NVDEC, which it does not have");
  const bool of_nvdec = NvdecCodec(call.stream.codec).has_value();
  switch (call.kind) {
    case GpuCall::Kind::kNotes: break;
    case GpuCall::Kind::kWhyNot: answer.text = nvdec->WhyNot(call.stream); break;
    case GpuCall::Kind::kSetup:
      if (!of_nvdec) return Refused("about a codec that NVDEC does not have");
      answer.seconds = nvdec->SetupSeconds(call.stream);
      break;
    case GpuCall::Kind::kBeginTurn: return BeginTurn(call, answer);
    case GpuCall::Kind::kOpen: return Open(call, answer);
    case GpuCall::Kind::kSend: return Send(call, memory, answer);
    case GpuCall::Kind::kDrain:
      if (!stream_) return Refused("to drain what is not open");
      Settle(stream_->Drain(), answer);
      Receive(answer);
      break;
    case GpuCall::Kind::kMakeClip: return MakeClip(call, memory, answer);
  }
  return {};
}

Status GpuSession::BeginTurn(const GpuCall& call, GpuAnswer& answer) {
  if (std::exchange(had_turn_, true)) return Refused("for two turns for one clip");
  const auto before = Clock::now();
  DecodeWork work = call.work;
  work.backlog = request_.backlog;
  auto turn = gpu_->nvdec_backend()->scheduler().Begin(work, call.path, guard_);
  turn_began_ = Clock::now();
  waited_ += turn_began_ - before;
  if (!turn.ok()) {
    Settle(turn.TakeStatus(), answer);
    return {};
  }
  answer.path = turn.value().path();
  answer.hardware_was_busy = turn.value().hardware_was_busy();
  turn_ = std::move(turn).value();
  return {};
}

Status GpuSession::Open(GpuCall& call, GpuAnswer& answer) {
  NvdecBackend& nvdec = *gpu_->nvdec_backend();
  if (stream_) return Refused("for two streams at a time");
  if (!turn_ || turn_->path() != DecodePath::kHardware) return Refused("for a stream out of turn");
  // The decoder process has asked before. This one does not rely on that.
  if (!nvdec.WhyNot(call.stream).empty()) return Refused("for a stream that NVDEC does not decode");
  if (std::int64_t{call.stream.width} * call.stream.height > request_.limits.max_pixels)
    return Refused("for pictures larger than maxPixels");
  auto stream = nvdec.Open(std::move(call.stream), request_.limits, guard_);
  if (!stream.ok()) {
    Settle(stream.TakeStatus(), answer);
    return {};
  }
  stream_ = std::move(stream).value();
  last_place_ = -1;
  without_picture_ = 0;
  return {};
}

Status GpuSession::Send(GpuCall& call, const Descriptor& memory, GpuAnswer& answer) {
  if (!stream_) return Refused("to decode for a stream that is not open");
  if (!turn_ || turn_->path() != DecodePath::kHardware) return Refused("to decode out of turn");
  CodedPacket& packet = call.packet;
  // Parts of one packet have its place.
  if (packet.place < last_place_) return Refused("to decode packets in disorder");
  // The decoder process ends such a clip earlier, by the same limit.
  if (++without_picture_ > request_.limits.max_packets_without_frame + 1)
    return Refused("to decode packets without end");
  if (call.memory_bytes > request_.limits.max_bytes)
    return Refused("to decode a packet larger than maxBytes");
  last_place_ = packet.place;
  MediaBytes mapped;
  if (call.memory_bytes > 0) {
    COSMOS_ASSIGN_OR_RETURN(mapped, MapSealed(memory, call.memory_bytes));
    packet.data = mapped.data;
  }
  Settle(stream_->Send(packet), answer);
  Receive(answer);
  return {};
}

// Takes all pictures that the stream has.
void GpuSession::Receive(GpuAnswer& answer) {
  answer.refused_at_once = stream_->refused();
  while (answer.status.ok()) {
    auto received = stream_->Receive();
    if (!received.ok()) return Settle(received.TakeStatus(), answer);
    answer.refused = stream_->refused();
    answer.gave_up = stream_->gave_up();
    answer.reason = stream_->reason();
    if (!received.value()) return;
    without_picture_ = 0;
    Picture& picture = *received.value();
    GpuPicture& told = answer.pictures.emplace_back();
    told.place = picture.place;
    told.damaged = picture.damaged;
    told.refused = answer.refused;
    if (!picture.frame) continue;
    told.id = next_id_++;
    told.width = picture.frame->width;
    told.height = picture.frame->height;
    told.layout = LayoutOf(*picture.frame);
    frames_[told.id] = std::shared_ptr<AVFrame>(picture.frame.release(), ff::Free());
  }
}

Status GpuSession::MakeClip(const GpuCall& call, const Descriptor& memory, GpuAnswer& answer) {
  const ClipShape& shape = request_.shape;
  const auto slots = static_cast<std::size_t>(shape.frames);
  if (!stream_ || call.frames.empty()) return Refused("for a clip of nothing");
  if (clips_.size() >= kMaxClips) return Refused("for more clips than it may hold");
  std::vector<DeviceSlot> device;
  std::vector<bool> filled(slots);
  for (const GpuCall::Frame& frame : call.frames) {
    const auto found = frames_.find(frame.id);
    const auto slot = static_cast<std::size_t>(frame.slot);
    if (found == frames_.end() || slot >= slots || filled[slot]) return Refused("for a clip of other frames");
    filled[slot] = true;
    device.push_back({frame.slot, found->second});
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
    error_ = clip.status();  // it may be one that a decoder process cannot report
    answer.status = error_;
    return {};
  }
  answer.clip = next_id_++;
  clips_[answer.clip] = std::move(clip).value();
  return {};
}

}  // namespace cosmos
