#include "isolation/gpu_part.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <exception>

namespace cosmos {

Result<std::pair<std::unique_ptr<GpuPart>, Descriptor>> GpuPart::Open(DecodeTurns::Turn turn,
                                                                      std::unique_ptr<GpuStream> stream,
                                                                      GpuPictures& pictures) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return Status(StatusCode::kOutOfMemory, "no channel to a decoder process can be opened");
  Descriptor own(sockets[0]);
  Descriptor other(sockets[1]);
  std::unique_ptr<GpuPart> part(
      new GpuPart(Channel(std::move(own)), std::move(turn), std::move(stream), pictures));
  return std::pair(std::move(part), std::move(other));
}

void GpuPart::End() {
  channel_.Shutdown();
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
  // The other side may wait for an answer.
  channel_.Shutdown();
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
}

Status GpuPart::Serve() {
  for (;;) {
    auto received = channel_.Receive();
    if (!received.ok()) {
      return received.status().code() == StatusCode::kInternal ? received.TakeStatus() : Status();
    }
    if (received.value()) {
      COSMOS_RETURN_IF_ERROR(Answer(*received.value()));
      continue;
    }
    pollfd waiting{channel_.socket(), POLLIN, 0};
    if (poll(&waiting, 1, -1) < 0 && errno != EINTR) return {};
  }
}

Status GpuPart::Answer(const Message& message) {
  if (message.type != MessageType::kGpuCall) return GpuCallRefused("something else on one of its channels");
  COSMOS_ASSIGN_OR_RETURN(GpuCall call, DecodeGpuCall(message.body));
  for (const GpuNote& note : call.notes) {
    if (note.kind != GpuNote::Kind::kReset && note.kind != GpuNote::Kind::kRelease)
      return GpuCallRefused("to note something on the wrong channel");
    COSMOS_RETURN_IF_ERROR(stream_->Note(note.kind));
  }
  if (call.kind == GpuCall::Kind::kNotes) return {};
  GpuAnswer answer;
  answer.status = pictures_.error();
  if (answer.status.ok()) COSMOS_RETURN_IF_ERROR(stream_->Do(call, message.descriptor, answer));
  // A decoder that takes no answer has ended, which the channel's end will tell.
  (void)channel_.Send(MessageType::kGpuAnswer, Encode(answer));
  return {};
}

}  // namespace cosmos
