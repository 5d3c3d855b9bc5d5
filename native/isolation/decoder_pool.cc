#include "isolation/decoder_pool.h"

#include <array>
#include <exception>
#include <utility>

#include "isolation/gpu_session.h"
#include "isolation/sealed_memory.h"
#include "media/demux/source.h"

namespace cosmos {
namespace {

Patience PatienceOf(const ClipRequest& request) { return {request.limits.max_wall_seconds, request.threads}; }

// The clip of an answer. Its pixels are the decoder's memory, which neither side can change any more, or a
// clip that was made on the GPU for it.
Result<DecodedClip> ToClip(const Message& answer, const ClipRequest& request,
                           const GpuSession* gpu = nullptr) {
  if (answer.type != MessageType::kClip) return Status(StatusCode::kInternal, "it answered out of order");
  COSMOS_ASSIGN_OR_RETURN(ClipReply reply, DecodeClipReply(answer.body, request));
  if (reply.on_gpu != 0) {
    if (!gpu) return Status(StatusCode::kInternal, "it made a clip without pixels");
    COSMOS_ASSIGN_OR_RETURN(reply.clip.clip, gpu->ClipOf(reply.on_gpu));
    return std::move(reply.clip);
  }
  COSMOS_ASSIGN_OR_RETURN(const MediaBytes memory, MapSealed(answer.descriptor, reply.bytes));
  DecodedClip& clip = reply.clip;
  clip.clip = std::make_shared<const Clip>(request.shape, memory.data.data(), memory.owner);
  auto rest = memory.data.subspan(request.shape.bytes());
  for (RgbImage& image : clip.images) {
    const auto pixels = rest.first(std::size_t{3} * image.width * image.height);
    image.data.assign(pixels.begin(), pixels.end());
    rest = rest.subspan(pixels.size());
  }
  return std::move(clip);
}

}  // namespace

// A ClipReader whose decode runs in a process of its own.
class IsolatedReader final : public ClipReader {
 public:
  IsolatedReader(std::shared_ptr<DecoderPool> pool, DecoderPool::Lease process, ClipRequest request,
                 bool many_clips)
      : pool_(std::move(pool)),
        process_(std::move(process)),
        request_(std::move(request)),
        many_clips_(many_clips) {
    if (request_.gpu) gpu_ = std::make_unique<GpuSession>(request_.gpu, request_);
  }
  Status Open(const OpenRequest& open, int descriptor, const CancelTokenPtr& cancel) {
    auto answer = process_->Ask(MessageType::kOpen, Encode(open), descriptor, PatienceOf(request_), cancel);
    if (!answer.ok()) return Fail(answer.TakeStatus());
    if (answer->type != MessageType::kOpened) {
      return Fail(process_->Refuse({StatusCode::kInternal, "it answered out of order"}));
    }
    return {};
  }

  Result<std::optional<DecodedClip>> Next(CancelTokenPtr cancel) override {
    if (!error_.ok()) return error_;
    if (!process_) return std::optional<DecodedClip>();
    auto answer = AskForNext(cancel);
    // What ended the clip in this process is the reason, whatever the decoder made of it.
    // A process that did not answer has its video open.
    if (gpu_) {
      if (process_->alive() && !gpu_->part_failure().ok())
        return Fail(process_->Refuse(gpu_->part_failure()));
      if (Status error = gpu_->error(); !error.ok()) return Fail(std::move(error), process_->answered());
    }
    if (!answer.ok()) return Fail(answer.TakeStatus(), process_->answered());
    if (answer->type == MessageType::kEnd) {
      Release();
      return std::optional<DecodedClip>();
    }
    auto clip = ToClip(answer.value(), request_, gpu_.get());
    if (!clip.ok()) return Fail(process_->Refuse(clip.status()));
    if (!many_clips_) Release();
    return std::optional(std::move(clip).value());
  }

 private:
  Result<Message> AskForNext(const CancelTokenPtr& cancel) {
    const Patience patience = PatienceOf(request_);
    if (!gpu_) return process_->Ask(MessageType::kNext, {}, -1, patience, cancel);
    const GpuSession::Request request(*gpu_, cancel);
    return process_->Ask(MessageType::kNext, {}, -1, patience, cancel,
                         [this](const Message& message) { return gpu_->Handle(message); });
  }

  void Release(bool finished = true) {
    gpu_.reset();
    process_.Return(finished);
  }

  // Gives the process back and remembers the failure for later calls.
  Status Fail(Status failure, bool finished = true) {
    error_ = std::move(failure);
    Release(finished);
    return error_;
  }

  const std::shared_ptr<DecoderPool> pool_;
  DecoderPool::Lease process_;
  const ClipRequest request_;
  const bool many_clips_;
  std::unique_ptr<GpuSession> gpu_;  // with a GPU, until the last clip
  Status error_;
};

Result<std::shared_ptr<DecoderPool>> DecoderPool::Open(const DecoderOptions& options) {
  std::shared_ptr<DecoderPool> pool(new DecoderPool(options));
  COSMOS_ASSIGN_OR_RETURN(auto first, pool->Take());
  pool->walls_ = first->walls();
  first.Return(true);
  return pool;
}

Result<std::unique_ptr<ClipReader>> DecoderPool::OpenReader(const MediaSource& source,
                                                            const ClipRequest& request,
                                                            const std::optional<Windows>& windows,
                                                            const CancelTokenPtr& cancel) {
  OpenRequest open{.request = request, .windows = windows};
  if (request.gpu) open.gpu = GpuSession::OfferOf(*request.gpu);
  Descriptor memory;
  MediaFile file;
  if (const auto* bytes = std::get_if<MediaBytes>(&source)) {
    const std::array<ByteView, 1> parts{bytes->data};
    COSMOS_ASSIGN_OR_RETURN(memory, SealedCopy(parts));
    open.in_memory = true;
    open.bytes = static_cast<std::int64_t>(bytes->data.size());
  } else if (const auto* path = std::get_if<MediaPath>(&source)) {
    COSMOS_ASSIGN_OR_RETURN(file, OpenMediaFile(*path));
  } else {
    file = std::get<MediaFile>(source);
  }
  COSMOS_ASSIGN_OR_RETURN(auto process, Take());
  auto reader =
      std::make_unique<IsolatedReader>(shared_from_this(), std::move(process), request, windows.has_value());
  const int descriptor = open.in_memory ? memory.get() : file.descriptor->get();
  COSMOS_RETURN_IF_ERROR(reader->Open(open, descriptor, cancel));
  return std::unique_ptr<ClipReader>(std::move(reader));
}

Result<DecodedClip> DecoderPool::ClipFromImages(std::span<const StillImage> images,
                                                const ClipRequest& request, const CancelTokenPtr& cancel) {
  PicturesRequest pictures{request, 0, {}};
  std::vector<ByteView> parts;
  for (const StillImage& image : images) {
    const auto* raw = std::get_if<RgbImage>(&image);
    parts.push_back(raw ? ByteView(raw->data) : std::get<MediaBytes>(image).data);
    const auto bytes = static_cast<std::int64_t>(parts.back().size());
    pictures.pictures.push_back({pictures.bytes, bytes, raw ? raw->width : 0, raw ? raw->height : 0});
    pictures.bytes += bytes;
  }
  COSMOS_ASSIGN_OR_RETURN(const Descriptor memory, SealedCopy(parts));
  COSMOS_ASSIGN_OR_RETURN(auto process, Take());
  auto answer =
      process->Ask(MessageType::kPictures, Encode(pictures), memory.get(), PatienceOf(request), cancel);
  if (!answer.ok()) {
    process.Return(true);
    return answer.TakeStatus();
  }
  auto clip = ToClip(answer.value(), request);
  if (!clip.ok()) clip = process->Refuse(clip.status());
  process.Return(true);
  return clip;
}

DecoderPoolStats DecoderPool::stats() const {
  const std::lock_guard lock(mutex_);
  DecoderPoolStats stats = stats_;
  stats.idle = static_cast<int>(idle_.size());
  return stats;
}

Result<DecoderPool::Lease> DecoderPool::Take() {
  ProcessPtr process;
  while (!process) {
    {
      const std::lock_guard lock(mutex_);
      if (idle_.empty()) break;
      process = std::move(idle_.back());
      idle_.pop_back();
    }
    // It may have been ended by someone else, for example because the machine's memory ran short.
    process->CheckIdle();
    if (!process->alive()) process.reset();
  }
  if (!process) {
    COSMOS_ASSIGN_OR_RETURN(process, Start());
  }
  {
    const std::lock_guard lock(mutex_);
    ++stats_.busy;
  }
  Lease lease(*this, std::move(process));
  Refill();
  return lease;
}

void DecoderPool::Return(ProcessPtr process, bool finished) {
  const bool spent = process->clips() >= options_.clips_per_process || !finished;
  ProcessPtr ending;  // outside the lock
  {
    const std::lock_guard lock(mutex_);
    --stats_.busy;
    if (!process->alive()) ++(process->crashed() ? stats_.crashed : stats_.ended);
    if (process->alive() && spent) ++stats_.retired;
    if (process->alive() && !spent && static_cast<int>(idle_.size()) < options_.idle) {
      idle_.push_back(std::move(process));
    } else {
      ending = std::move(process);
    }
  }
  ending.reset();
  Refill();
}

Result<DecoderPool::ProcessPtr> DecoderPool::Start() {
  auto process = DecoderProcess::Start(options_);
  const std::lock_guard lock(mutex_);
  if (process.ok()) ++stats_.started;
  return process;
}

// Starts a process in the background while fewer than `idle` are free or being started for the next requests.
// A start that fails is tried again, and reported, by the next request that finds no process.
void DecoderPool::Refill() {
  {
    const std::lock_guard lock(mutex_);
    if (static_cast<int>(idle_.size()) + stats_.busy + starting_ >= options_.idle) return;
    ++starting_;
  }
  try {
    starter_.Submit([this] {
      if (StartIdle()) Refill();
    });
  } catch (const std::exception&) {  // no memory, or no thread
    const std::lock_guard lock(mutex_);
    --starting_;
  }
}

// Returns whether a process could be started.
bool DecoderPool::StartIdle() {
  ProcessPtr process;
  try {
    auto started = Start();
    if (started.ok()) process = std::move(started).value();
  } catch (const std::exception&) {  // no memory
    process = nullptr;
  }
  const bool started = process != nullptr;
  const std::lock_guard lock(mutex_);
  --starting_;
  if (started && static_cast<int>(idle_.size()) < options_.idle) idle_.push_back(std::move(process));
  return started;
}

}  // namespace cosmos
