#include "isolation/remote_gpu.h"

#include <array>
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
  ~RemoteFrame() override { gpu_->Note({.kind = GpuNote::Kind::kDropFrame, .id = id_}); }

 private:
  const std::shared_ptr<RemoteGpu> gpu_;
  const std::uint32_t id_;
};

class RemotePixels final : public DevicePixels {
 public:
  RemotePixels(std::shared_ptr<RemoteGpu> gpu, std::uint32_t id) : gpu_(std::move(gpu)), id_(id) {}
  ~RemotePixels() override { gpu_->Note({.kind = GpuNote::Kind::kDropClip, .id = id_}); }

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

// The turns of the server's scheduler.
class RemoteTurns final : public DecodeTurns {
 public:
  explicit RemoteTurns(RemoteGpu& gpu) : gpu_(gpu) {}

  Result<Turn> Begin(const DecodeWork& work, std::optional<DecodePath> path, JobGuard& guard) override {
    const JobGuard::Pause pause(guard);
    COSMOS_ASSIGN_OR_RETURN(const GpuAnswer answer,
                            gpu_.Call({.kind = GpuCall::Kind::kBeginTurn, .work = work, .path = path}));
    if (!answer.status.ok()) return answer.status;
    return MakeTurn(answer.path, answer.hardware_was_busy, 0);
  }
  // One clip of a decoder process uses one decoder.
  std::vector<Turn> TakeFree(int /*max*/) override { return {}; }
  void Learn(DecodePath path, const DecodeWork& work, double seconds) override {
    gpu_.Note({.kind = GpuNote::Kind::kLearn, .path = path, .work = work, .seconds = seconds});
  }
  int running() const override { return 0; }
  int waiting() const override { return 0; }

 private:
  void End(DecodePath /*path*/, double /*seconds*/) override { gpu_.Note({.kind = GpuNote::Kind::kEndTurn}); }

  RemoteGpu& gpu_;
};

// The server answers each packet with all that came of it; Receive hands that out as the stream there would.
class RemoteStream final : public NvdecStream {
 public:
  explicit RemoteStream(std::shared_ptr<RemoteGpu> gpu) : gpu_(std::move(gpu)) {}
  ~RemoteStream() override { gpu_->Note({.kind = GpuNote::Kind::kClose}); }

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
    COSMOS_ASSIGN_OR_RETURN(GpuAnswer answer, gpu_->Call(std::move(call), descriptor));
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
      if (picture.id != 0) gpu_->Note({.kind = GpuNote::Kind::kDropFrame, .id = picture.id});
    }
    pictures_.clear();
    gpu_->Note({.kind = kind});
  }

  const std::shared_ptr<RemoteGpu> gpu_;
  std::deque<GpuPicture> pictures_;
  int refused_ = 0;
  int refused_at_end_ = 0;
  bool gave_up_ = false;
  std::string reason_;
};

class RemoteNvdec final : public NvdecBackend {
 public:
  explicit RemoteNvdec(RemoteGpu& gpu) : gpu_(gpu), turns_(gpu) {}

  using NvdecBackend::IdleDecoders;
  using NvdecBackend::Open;
  using NvdecBackend::SetupSeconds;
  using NvdecBackend::WhyNot;
  DecodeTurns& scheduler() override { return turns_; }
  std::string WhyNot(const CodedStream& stream) override {
    const auto answer = gpu_.Call({.kind = GpuCall::Kind::kWhyNot, .stream = stream});
    if (!answer.ok()) return answer.status().message();
    return answer.value().status.ok() ? answer.value().text : answer.value().status.message();
  }
  double SetupSeconds(const CodedStream& stream) const override {
    const auto answer = gpu_.Call({.kind = GpuCall::Kind::kSetup, .stream = stream});
    return answer.ok() ? answer.value().seconds : 0;
  }
  int IdleDecoders(const CodedStream& /*stream*/) const override { return 0; }
  Result<std::unique_ptr<NvdecStream>> Open(CodedStream stream, const DecodeLimits& /*limits*/,
                                            const JobGuard& /*guard*/) override {
    COSMOS_ASSIGN_OR_RETURN(const GpuAnswer answer,
                            gpu_.Call({.kind = GpuCall::Kind::kOpen, .stream = std::move(stream)}));
    if (!answer.status.ok()) return answer.status;
    return std::unique_ptr<NvdecStream>(new RemoteStream(gpu_.shared_from_this()));
  }

 private:
  RemoteGpu& gpu_;
  RemoteTurns turns_;
};

}  // namespace

RemoteGpu::RemoteGpu(bool nvdec, std::string reason, Ask ask)
    : reason_(std::move(reason)), ask_(std::move(ask)) {
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
  COSMOS_ASSIGN_OR_RETURN(const GpuAnswer answer, Call(std::move(call), others.empty() ? -1 : memory.get()));
  if (!answer.status.ok()) return answer.status;
  return ClipPtr(
      std::make_shared<Clip>(shape, std::make_unique<RemotePixels>(shared_from_this(), answer.clip)));
}

void RemoteGpu::CountClip(bool by_hardware) {
  Note({.kind = GpuNote::Kind::kCount, .id = by_hardware ? 1U : 0U});
}

Status RemoteGpu::Flush() {
  for (std::size_t begin = 0; begin < notes_.size(); begin += kMaxGpuNotes) {
    const auto end = std::min(begin + kMaxGpuNotes, notes_.size());
    const GpuCall call{.notes = {notes_.begin() + static_cast<std::ptrdiff_t>(begin),
                                 notes_.begin() + static_cast<std::ptrdiff_t>(end)}};
    auto sent = ask_(Encode(call), -1, false);
    if (!sent.ok()) return sent.TakeStatus();
  }
  notes_.clear();
  return {};
}

Result<GpuAnswer> RemoteGpu::Call(GpuCall call, int descriptor) {
  if (notes_.size() > kMaxGpuNotes) COSMOS_RETURN_IF_ERROR(Flush());
  call.notes = std::exchange(notes_, {});
  COSMOS_ASSIGN_OR_RETURN(const Bytes body, ask_(Encode(call), descriptor, true));
  return DecodeGpuAnswer(body);
}

}  // namespace cosmos
