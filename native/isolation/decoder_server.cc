#include "isolation/decoder_server.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "isolation/messages.h"
#include "isolation/remote_gpu.h"
#include "isolation/sealed_memory.h"
#include "media/clip_reader.h"

namespace cosmos {
namespace {

// Decodes on a thread of its own, so that the thread of the channel sees a cancellation, or the end of the
// other side, while FFmpeg is busy.
class DecoderServer {
 public:
  explicit DecoderServer(Channel& channel) : channel_(channel) {}

  // Returns whether the system has a thread for it.
  bool Start() {
    try {
      std::thread([this] { Work(); }).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  // Receives until the channel ends. Returns then without waiting for a running decode.
  int Receive() {
    for (;;) {
      auto received = channel_.Receive();
      if (!received.ok()) return received.status().code() == StatusCode::kOutOfMemory ? kExitOfShortage : 0;
      if (!received.value()) {
        pollfd waiting{channel_.socket(), POLLIN, 0};
        if (poll(&waiting, 1, -1) < 0 && errno != EINTR) return kExitOfShortage;
        continue;
      }
      Message& message = *received.value();
      const std::lock_guard lock(mutex_);
      if (message.type == MessageType::kCancel) {
        // The answer may have been sent already; then nothing runs that this could stop.
        if (cancel_) cancel_->Cancel();
        continue;
      }
      if (message.type == MessageType::kGpuAnswer) {
        if (!awaits_gpu_ || gpu_answer_) return 0;  // nothing was asked
        gpu_answer_ = std::move(message);
        wake_.notify_one();
        continue;
      }
      if (cancel_) return 0;  // one request at a time
      request_ = std::move(message);
      // Here, because a cancellation may come before the other thread sees the request.
      cancel_ = std::make_shared<CancelToken>();
      wake_.notify_one();
    }
  }

 private:
  void Work() {
    for (;;) {
      Message request;
      CancelTokenPtr cancel;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return request_.has_value(); });
        request = std::move(*std::exchange(request_, std::nullopt));
        cancel = cancel_;
      }
      Status sent;
      try {
        sent = Answer(std::move(request), cancel);
      } catch (const std::bad_alloc&) {
        Close();
        sent = Fail({StatusCode::kOutOfMemory, "there is not enough memory to decode the video"});
      }
      // Without an answer the other side would wait; the end of the process tells it.
      if (sent.code() == StatusCode::kOutOfMemory) _exit(kExitOfShortage);
      if (!sent.ok()) std::abort();
    }
  }

  Status Answer(Message request, const CancelTokenPtr& cancel) {
    switch (request.type) {
      case MessageType::kOpen: {
        Close();
        Status opened = Open(std::move(request), cancel);
        if (!opened.ok()) return Fail(opened);
        return Send(MessageType::kOpened, {});
      }
      case MessageType::kNext: {
        if (!reader_) return Fail({StatusCode::kInternal, "the decoder has no open video"});
        auto next = reader_->Next(cancel);
        // A process that waits for its next video must not hold the last one's memory and file.
        if (!next.ok() || !next.value() || !many_clips_) reader_.reset();
        if (gpu_) COSMOS_RETURN_IF_ERROR(gpu_->link().Flush());
        if (!next.ok()) return Fail(next.status());
        if (!next.value()) return Send(MessageType::kEnd, {});
        return SendClip(*next.value());
      }
      case MessageType::kPictures: {
        Close();
        auto clip = Pictures(std::move(request), cancel);
        if (!clip.ok()) return Fail(clip.status());
        return SendClip(clip.value());
      }
      default: return Fail({StatusCode::kInternal, "the decoder got a message that is no request"});
    }
  }

  Status Open(Message message, const CancelTokenPtr& cancel) {
    COSMOS_ASSIGN_OR_RETURN(const OpenRequest open, DecodeOpen(message.body));
    if (!message.descriptor.valid()) return {StatusCode::kInternal, "a request came without its video"};
    MediaSource source;
    if (open.in_memory) {
      COSMOS_ASSIGN_OR_RETURN(source, MapSealed(message.descriptor, open.bytes));
    } else {
      source = MediaFile{std::make_shared<const Descriptor>(std::move(message.descriptor))};
    }
    many_clips_ = open.windows.has_value();
    ClipRequest request = open.request;
    if (open.gpu) {
      request.gpu = gpu_ = std::make_shared<RemoteGpu>(
          open.gpu->nvdec, open.gpu->reason,
          [this](const Bytes& call, int descriptor, bool due) { return AskGpu(call, descriptor, due); });
    }
    COSMOS_ASSIGN_OR_RETURN(reader_, ClipReader::Open(std::move(source), request, open.windows, cancel));
    return {};
  }

  void Close() {
    reader_.reset();
    gpu_.reset();
  }

  // The server answers every call, also when the clip is cancelled: this needs no look at the token.
  Result<Message> AskGpu(const Bytes& call, int descriptor, bool due) {
    {
      const std::lock_guard lock(mutex_);
      awaits_gpu_ = due;
    }
    COSMOS_RETURN_IF_ERROR(channel_.Send(MessageType::kGpuCall, call, descriptor));
    if (!due) return Message();
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return gpu_answer_.has_value(); });
    awaits_gpu_ = false;
    return *std::exchange(gpu_answer_, std::nullopt);
  }

  static Result<DecodedClip> Pictures(Message message, const CancelTokenPtr& cancel) {
    COSMOS_ASSIGN_OR_RETURN(const PicturesRequest request, DecodePictures(message.body));
    COSMOS_ASSIGN_OR_RETURN(const MediaBytes memory, MapSealed(message.descriptor, request.bytes));
    std::vector<StillImage> images;
    images.reserve(request.pictures.size());
    for (const PicturesRequest::Picture& picture : request.pictures) {
      const ByteView bytes = memory.data.subspan(static_cast<std::size_t>(picture.offset),
                                                 static_cast<std::size_t>(picture.bytes));
      if (picture.width == 0) {
        images.emplace_back(MediaBytes{bytes, memory.owner});
      } else {
        images.emplace_back(RgbImage{picture.width, picture.height, {bytes.begin(), bytes.end()}});
      }
    }
    return ClipFromImages(images, request.request, cancel);
  }

  Status SendClip(const DecodedClip& clip) {
    if (clip.clip->device_pixels()) return Send(MessageType::kClip, Encode(clip));
    std::vector<ByteView> parts{{clip.clip->data(), clip.clip->shape().bytes()}};
    for (const RgbImage& image : clip.images) parts.emplace_back(image.data);
    auto pixels = SealedCopy(parts);
    if (!pixels.ok()) return Fail(pixels.status());
    return Send(MessageType::kClip, Encode(clip), pixels.value().get());
  }

  Status Fail(const Status& failure) { return Send(MessageType::kFailure, Encode(failure)); }

  Status Send(MessageType type, const Bytes& body, int descriptor = -1) {
    {
      const std::lock_guard lock(mutex_);
      cancel_ = nullptr;  // before the answer, after which the next request may come
    }
    return channel_.Send(type, body, descriptor);
  }

  Channel& channel_;
  // Of the thread that works.
  std::unique_ptr<ClipReader> reader_;
  bool many_clips_ = false;
  std::shared_ptr<RemoteGpu> gpu_;  // of the open video

  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<Message> request_;
  CancelTokenPtr cancel_;  // of the request, from its arrival until its answer
  bool awaits_gpu_ = false;
  std::optional<Message> gpu_answer_;
};

}  // namespace

int ServeDecoder(Channel& channel, const Hello& hello) {
  // Never destroyed: its thread may be inside FFmpeg when the process ends.
  auto* const server = new DecoderServer(channel);
  // Before the greeting, so that the want of a thread is not taken for the fault of a file.
  if (!server->Start()) return kExitOfShortage;
  if (!channel.Send(MessageType::kHello, Encode(hello)).ok()) return 1;
  return server->Receive();
}

}  // namespace cosmos
