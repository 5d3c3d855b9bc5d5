#include "isolation/gpu_part.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <exception>
#include <system_error>

#include "base/shortage.h"

namespace cosmos {

Result<std::pair<std::unique_ptr<GpuPart>, Descriptor>> GpuPart::Open(DecodeTurns& turns,
                                                                      DecodeTurns::Turn turn,
                                                                      std::unique_ptr<GpuStream> stream,
                                                                      GpuPictures& pictures) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return SystemStatus(errno, "socketpair");
  Descriptor own(sockets[0]);
  Descriptor other(sockets[1]);
  try {
    std::unique_ptr<GpuPart> part(
        new GpuPart(Channel(std::move(own)), turns, std::move(turn), std::move(stream), pictures));
    return std::pair(std::move(part), std::move(other));
  } catch (const std::system_error& error) {  // no thread
    return Status(StatusCode::kOutOfMemory, error.what());
  }
}

// What has arrived could still be received after a shutdown.
void GpuPart::Stop() {
  stopping_ = true;
  channel_.Shutdown();
}

void GpuPart::End() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

Status GpuPart::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void GpuPart::Run() {
  Status failure;
  try {
    failure = Serve();
  } catch (const std::exception& error) {
    pictures_.Fail({StatusCode::kOutOfMemory, error.what()});
  }
  // The slot of the hardware is free for others as soon as the stream has gone.
  stream_.reset();
  turn_ = {};
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  // The other side may wait for an answer.
  channel_.Shutdown();
}

Status GpuPart::Serve() {
  constexpr int kIdleMs = 1000;
  while (!stopping_) {
    auto received = channel_.Receive();
    if (!received.ok()) {
      return received.status().code() == StatusCode::kSource ? Status() : received.TakeStatus();
    }
    if (received.value()) {
      COSMOS_ASSIGN_OR_RETURN(const bool goes_on, Answer(*received.value()));
      if (!goes_on) return {};
      continue;
    }
    pollfd waiting{channel_.socket(), POLLIN, 0};
    const int ready = poll(&waiting, 1, kIdleMs);
    if (ready < 0 && errno != EINTR) return {};
    if (ready == 0 && turns_.waiting() > 0) return {};
  }
  return {};
}

// Returns whether the other side took the answer.
Result<bool> GpuPart::Answer(const Message& message) {
  if (message.type != MessageType::kGpuCall) return GpuCallRefused("something else on one of its channels");
  COSMOS_ASSIGN_OR_RETURN(GpuCall call, DecodeGpuCall(message.body));
  for (const GpuNote& note : call.notes) {
    if (note.kind != GpuNote::Kind::kReset && note.kind != GpuNote::Kind::kRelease)
      return GpuCallRefused("to note something on the wrong channel");
    COSMOS_RETURN_IF_ERROR(stream_->Note(note.kind));
  }
  if (call.kind == GpuCall::Kind::kNotes) return true;
  GpuAnswer answer;
  COSMOS_RETURN_IF_ERROR(stream_->Do(call, message.descriptor, answer));
  return channel_.Send(MessageType::kGpuAnswer, Encode(answer)).ok();
}

}  // namespace cosmos
