#include "isolation/remote_gpu.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <utility>

#include "isolation/sealed_memory.h"
#include "media/nvdec/device_frame.h"

namespace cosmos {
namespace {

class RemoteFrame final : public DeviceFrameOwner {
 public:
  RemoteFrame(AVPixelFormat layout, std::shared_ptr<RemoteGpu> gpu, std::uint32_t id)
      : DeviceFrameOwner(layout), gpu_(std::move(gpu)), id_(id) {}
  ~RemoteFrame() override { gpu_->link().Note({.kind = GpuNote::Kind::kDropFrame, .id = id_}); }

 private:
  const std::shared_ptr<RemoteGpu> gpu_;
  const std::uint32_t id_;
};

class RemotePixels final : public DevicePixels {
 public:
  RemotePixels(std::shared_ptr<RemoteGpu> gpu, std::uint32_t id) : gpu_(std::move(gpu)), id_(id) {}
  ~RemotePixels() override { gpu_->link().Note({.kind = GpuNote::Kind::kDropClip, .id = id_}); }

  int device() const override { return 0; }
  std::uint64_t address() const override { return id_; }
  Status CopyToHost(std::uint8_t* /*out*/, std::size_t /*bytes*/) const override {
    return {StatusCode::kInternal,
            "a clip of the server's GPU cannot be read. This is a bug in cosmos-embed."};
  }

 private:
  const std::shared_ptr<RemoteGpu> gpu_;
  const std::uint32_t id_;
};

// The channel of a part. The server answers every call.
class RemotePart {
 public:
  explicit RemotePart(Descriptor socket)
      : channel_(std::move(socket)),
        link_([this](const Bytes& call, int descriptor, bool due) { return Ask(call, descriptor, due); }) {}

  RemoteLink& link() { return link_; }

 private:
  Result<Message> Ask(const Bytes& call, int descriptor, bool due) {
    COSMOS_RETURN_IF_ERROR(channel_.Send(MessageType::kGpuCall, call, descriptor));
    if (!due) return Message();
    for (;;) {
      COSMOS_ASSIGN_OR_RETURN(auto received, channel_.Receive());
      if (received) return *std::move(received);
      pollfd waiting{channel_.socket(), POLLIN, 0};
      if (poll(&waiting, 1, -1) < 0 && errno != EINTR)
        return Status(StatusCode::kInternal, "waiting for the server's GPU failed");
    }
  }

  Channel channel_;
  RemoteLink link_;
};

// The parts that no stream uses yet. Thread-safe.
class RemoteParts {
 public:
  void Add(Descriptor socket) {
    const std::lock_guard lock(mutex_);
    parts_.push_back(std::make_unique<RemotePart>(std::move(socket)));
  }
  // Null when there is none.
  std::unique_ptr<RemotePart> Take() {
    const std::lock_guard lock(mutex_);
    if (parts_.empty()) return nullptr;
    auto part = std::move(parts_.back());
    parts_.pop_back();
    return part;
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<RemotePart>> parts_;
};

// The turns of the server's scheduler. With each free slot comes a part, which gives the slot back when its
// channel is closed.
class RemoteTurns final : public DecodeTurns {
 public:
  RemoteTurns(RemoteLink& link, RemoteParts& parts) : link_(link), parts_(parts) {}

  Result<Turn> Begin(const DecodeWork& work, std::optional<DecodePath> path, JobGuard& guard) override {
    const JobGuard::Pause pause(guard);
    COSMOS_ASSIGN_OR_RETURN(const auto reply,
                            link_.Call({.kind = GpuCall::Kind::kBeginTurn, .work = work, .path = path}));
    if (!reply.answer.status.ok()) return reply.answer.status;
    return MakeTurn(reply.answer.path, reply.answer.hardware_was_busy, 0);
  }
  std::vector<Turn> TakeFree(int max) override {
    std::vector<Turn> turns;
    while (static_cast<int>(turns.size()) < std::min(max, kMaxGpuParts)) {
      auto reply = link_.Call({.kind = GpuCall::Kind::kOpenPart});
      if (!reply.ok() || !reply->answer.part || !reply->descriptor.valid()) break;
      parts_.Add(std::move(reply->descriptor));
      turns.push_back(MakeTurn(DecodePath::kHardware, false, kOfPart));
    }
    return turns;
  }
  void Learn(DecodePath path, const DecodeWork& work, double seconds) override {
    link_.Note({.kind = GpuNote::Kind::kLearn, .path = path, .work = work, .seconds = seconds});
  }
  int running() const override { return 0; }
  int waiting() const override { return 0; }

 private:
  static constexpr double kOfPart = -1;

  void End(DecodePath /*path*/, double seconds) override {
    if (seconds != kOfPart) return link_.Note({.kind = GpuNote::Kind::kEndTurn});
    parts_.Take();  // if no stream has used it
  }

  RemoteLink& link_;
  RemoteParts& parts_;
};

// The server answers each packet with all that came of it; Receive hands that out as the stream there would.
class RemoteStream final : public NvdecStream {
 public:
  // Without a part, on the channel of the clip.
  RemoteStream(std::shared_ptr<RemoteGpu> gpu, std::unique_ptr<RemotePart> part)
      : gpu_(std::move(gpu)), part_(std::move(part)), link_(part_ ? part_->link() : gpu_->link()) {}
  ~RemoteStream() override {
    if (!part_) link_.Note({.kind = GpuNote::Kind::kClose});
  }

  Status Send(const CodedPacket& packet) override {
    GpuCall call{.kind = GpuCall::Kind::kSend, .packet = packet};
    if (packet.data.size() <= kInlinePacketBytes) return Do(std::move(call), -1);
    const std::array<ByteView, 1> parts{packet.data};
    COSMOS_ASSIGN_OR_RETURN(const Descriptor memory, SealedCopy(parts));
    call.memory_bytes = static_cast<std::int64_t>(packet.data.size());
    return Do(std::move(call), memory.get());
  }
  Status Drain() override { return gave_up_ ? Status() : Do({.kind = GpuCall::Kind::kDrain}, -1); }
  Result<std::optional<Picture>> Receive() override {
    if (pictures_.empty()) {
      refused_ = refused_at_end_;
      return std::optional<Picture>();
    }
    const GpuPicture told = pictures_.front();
    pictures_.pop_front();
    refused_ = told.refused;
    Picture picture{.frame = nullptr, .place = told.place, .damaged = told.damaged};
    if (told.id == 0) return std::optional(std::move(picture));
    COSMOS_ASSIGN_OR_RETURN(
        picture.frame, WrapDeviceFrame(std::make_unique<RemoteFrame>(told.layout, gpu_, told.id), told.id, 1,
                                       told.width, told.height));
    return std::optional(std::move(picture));
  }
  void Reset() override { Forget(GpuNote::Kind::kReset); }
  void Release() override { Forget(GpuNote::Kind::kRelease); }
  int refused() const override { return refused_; }
  bool gave_up() const override { return gave_up_; }
  const std::string& reason() const override { return reason_; }
  CUstream stream() const override { return nullptr; }

 private:
  Status Do(GpuCall call, int descriptor) {
    COSMOS_ASSIGN_OR_RETURN(auto reply, link_.Call(std::move(call), descriptor));
    GpuAnswer& answer = reply.answer;
    if (!answer.status.ok()) return answer.status;
    refused_ = answer.refused_at_once;
    refused_at_end_ = answer.refused;
    gave_up_ = answer.gave_up;
    reason_ = std::move(answer.reason);
    pictures_.insert(pictures_.end(), answer.pictures.begin(), answer.pictures.end());
    return {};
  }

  void Forget(GpuNote::Kind kind) {
    for (const GpuPicture& picture : pictures_) {
      if (picture.id != 0) gpu_->link().Note({.kind = GpuNote::Kind::kDropFrame, .id = picture.id});
    }
    pictures_.clear();
    link_.Note({.kind = kind});
  }

  const std::shared_ptr<RemoteGpu> gpu_;
  const std::unique_ptr<RemotePart> part_;
  RemoteLink& link_;
  std::deque<GpuPicture> pictures_;
  int refused_ = 0;
  int refused_at_end_ = 0;
  bool gave_up_ = false;
  std::string reason_;
};

class RemoteNvdec final : public NvdecBackend {
 public:
  explicit RemoteNvdec(RemoteGpu& gpu) : gpu_(gpu), turns_(gpu.link(), parts_) {}

  using NvdecBackend::IdleDecoders;
  using NvdecBackend::Open;
  using NvdecBackend::SetupSeconds;
  using NvdecBackend::WhyNot;
  DecodeTurns& scheduler() override { return turns_; }
  std::string WhyNot(const CodedStream& stream) override {
    const auto reply = gpu_.link().Call({.kind = GpuCall::Kind::kWhyNot, .stream = stream});
    if (!reply.ok()) return reply.status().message();
    return reply->answer.status.ok() ? reply->answer.text : reply->answer.status.message();
  }
  double SetupSeconds(const CodedStream& stream) const override {
    const auto reply = gpu_.link().Call({.kind = GpuCall::Kind::kSetup, .stream = stream});
    return reply.ok() ? reply->answer.seconds : 0;
  }
  int IdleDecoders(const CodedStream& stream) const override {
    const auto reply = gpu_.link().Call({.kind = GpuCall::Kind::kIdle, .stream = stream});
    return reply.ok() ? reply->answer.decoders : 0;
  }
  Result<std::unique_ptr<NvdecStream>> Open(CodedStream stream, const DecodeLimits& /*limits*/,
                                            const JobGuard& /*guard*/) override {
    auto part = parts_.Take();
    RemoteLink& link = part ? part->link() : gpu_.link();
    COSMOS_ASSIGN_OR_RETURN(const auto reply,
                            link.Call({.kind = GpuCall::Kind::kOpen, .stream = std::move(stream)}));
    if (!reply.answer.status.ok()) return reply.answer.status;
    return std::unique_ptr<NvdecStream>(new RemoteStream(gpu_.shared_from_this(), std::move(part)));
  }

 private:
  RemoteGpu& gpu_;
  RemoteParts parts_;
  RemoteTurns turns_;
};

}  // namespace

void RemoteLink::Note(const GpuNote& note) {
  const std::lock_guard lock(mutex_);
  notes_.push_back(note);
}

std::vector<GpuNote> RemoteLink::TakeNotes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(notes_, {});
}

// Sends notes until no more than `kept` are left.
Status RemoteLink::SendNotes(std::vector<GpuNote>& notes, std::size_t kept) {
  while (notes.size() > kept) {
    const auto end = notes.begin() + static_cast<std::ptrdiff_t>(std::min(notes.size(), kMaxGpuNotes));
    auto sent = ask_(Encode(GpuCall{.notes = {notes.begin(), end}}), -1, false);
    if (!sent.ok()) return sent.TakeStatus();
    notes.erase(notes.begin(), end);
  }
  return {};
}

Status RemoteLink::Flush() {
  std::vector<GpuNote> notes = TakeNotes();
  return SendNotes(notes, 0);
}

Result<RemoteLink::Reply> RemoteLink::Call(GpuCall call, int descriptor) {
  call.notes = TakeNotes();
  COSMOS_RETURN_IF_ERROR(SendNotes(call.notes, kMaxGpuNotes));
  COSMOS_ASSIGN_OR_RETURN(Message message, ask_(Encode(call), descriptor, true));
  if (message.type != MessageType::kGpuAnswer)
    return Status(StatusCode::kInternal, "the server answered out of order");
  COSMOS_ASSIGN_OR_RETURN(GpuAnswer answer, DecodeGpuAnswer(message.body));
  return Reply{std::move(answer), std::move(message.descriptor)};
}

RemoteGpu::RemoteGpu(bool nvdec, std::string reason, RemoteLink::Ask ask)
    : reason_(std::move(reason)), link_(std::move(ask)) {
  if (nvdec) nvdec_ = std::make_unique<RemoteNvdec>(*this);
}

RemoteGpu::~RemoteGpu() = default;

DecoderBackend* RemoteGpu::backend() const { return nvdec_.get(); }

Result<ClipPtr> RemoteGpu::MakeClip(const ClipShape& shape, std::span<const DeviceSlot> device,
                                    std::span<const std::uint8_t* const> host, CUstream /*stream*/,
                                    Orientation orientation) {
  GpuCall call{.kind = GpuCall::Kind::kMakeClip, .orientation = orientation};
  std::vector<bool> on_device(host.size());
  for (const DeviceSlot& slot : device) {
    call.frames.push_back({slot.slot, static_cast<std::uint32_t>(AddressOf(*slot.frame))});
    on_device[static_cast<std::size_t>(slot.slot)] = true;
  }
  std::vector<ByteView> others;
  for (std::size_t slot = 0; slot < host.size(); ++slot) {
    if (!on_device[slot]) others.emplace_back(host[slot], shape.frame_bytes());
  }
  Descriptor memory;
  if (!others.empty()) {
    COSMOS_ASSIGN_OR_RETURN(memory, SealedCopy(others));
  }
  COSMOS_ASSIGN_OR_RETURN(const auto reply, link_.Call(std::move(call), others.empty() ? -1 : memory.get()));
  if (!reply.answer.status.ok()) return reply.answer.status;
  return ClipPtr(
      std::make_shared<Clip>(shape, std::make_unique<RemotePixels>(shared_from_this(), reply.answer.clip)));
}

void RemoteGpu::CountClip(bool by_hardware) {
  link_.Note({.kind = GpuNote::Kind::kCount, .id = by_hardware ? 1U : 0U});
}

}  // namespace cosmos
