#include "isolation/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "base/shortage.h"

namespace cosmos {
namespace {

constexpr int kSendPatienceMs = 10'000;

Status Ended() { return {StatusCode::kSource, "the other side of the channel has ended"}; }

Status Broken(const char* what) {
  return {StatusCode::kInternal, std::string("the channel carried ") + what};
}

union Control {
  cmsghdr header;
  std::array<std::uint8_t, CMSG_SPACE(sizeof(int))> bytes;
};

// Waits until the socket takes more.
bool WaitToSend(int socket) {
  pollfd waiting{socket, POLLOUT, 0};
  int ready = 0;
  do {
    ready = poll(&waiting, 1, kSendPatienceMs);
  } while (ready < 0 && errno == EINTR);
  return ready > 0 && (waiting.revents & (POLLERR | POLLHUP)) == 0;
}

}  // namespace

Status Channel::Send(MessageType type, std::span<const std::uint8_t> body, int descriptor) {
  if (body.size() > kMaxMessageBytes) return {StatusCode::kLimit, "a request to the decoder is too long"};
  Header header{kMagic, static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(body.size())};
  const std::size_t total = sizeof header + body.size();
  using Clock = std::chrono::steady_clock;
  const auto patience = Clock::now() + std::chrono::milliseconds(kSendPatienceMs);
  std::size_t sent = 0;
  while (sent < total) {
    const std::size_t skip = sent < sizeof header ? sent : sizeof header;
    std::array<iovec, 2> parts{{
        {reinterpret_cast<std::uint8_t*>(&header) + skip, sizeof header - skip},
        {const_cast<std::uint8_t*>(body.data()) + (sent - skip), body.size() - (sent - skip)},
    }};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    Control control{};
    if (descriptor >= 0 && sent == 0) {
      message.msg_control = &control;
      message.msg_controllen = sizeof control;
      cmsghdr* const first = CMSG_FIRSTHDR(&message);
      first->cmsg_level = SOL_SOCKET;
      first->cmsg_type = SCM_RIGHTS;
      first->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(first), &descriptor, sizeof(int));
    }
    const ssize_t count = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      if (!WaitToSend(socket_.get())) return Ended();
    } else if (IsShortage(errno)) {
      // For example, the kernel bounds the descriptors that all processes of a user have sent and nobody has
      // received. The others' are not this channel's fault, and no poll tells when they are fewer.
      if (Clock::now() >= patience) return SystemStatus(errno, "sending to the other process");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } else if (errno != EINTR) {
      return Ended();
    }
  }
  return {};
}

Result<std::optional<Message>> Channel::Receive() {
  COSMOS_ASSIGN_OR_RETURN(const bool have_header,
                          Fill({reinterpret_cast<std::uint8_t*>(&header_), sizeof header_}, header_filled_));
  if (!have_header) return std::optional<Message>();
  if (header_.magic != kMagic || header_.bytes > kMaxMessageBytes)
    return Broken("something that is no message");
  if (header_.type < static_cast<std::uint32_t>(MessageType::kHello) ||
      header_.type > static_cast<std::uint32_t>(MessageType::kGpuAnswer)) {
    return Broken("a message of an unknown type");
  }
  if (body_filled_ == 0) body_.resize(header_.bytes);
  COSMOS_ASSIGN_OR_RETURN(const bool have_body, Fill(body_, body_filled_));
  if (!have_body) return std::optional<Message>();
  Message message{static_cast<MessageType>(header_.type), std::move(body_),
                  std::exchange(descriptor_, Descriptor())};
  header_filled_ = body_filled_ = 0;
  body_.clear();
  return std::optional(std::move(message));
}

// Fills the buffer as far as data has arrived. Returns whether it is full.
Result<bool> Channel::Fill(std::span<std::uint8_t> into, std::size_t& filled) {
  while (filled < into.size()) {
    iovec part{into.data() + filled, into.size() - filled};
    Control control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    const ssize_t count = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return false;
    if (count < 0 && IsShortage(errno)) return SystemStatus(errno, "receiving from the other process");
    if (count <= 0) return Ended();
    bool any = false;
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
      if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
      any = true;
      if (!TakeDescriptors(*each)) return Broken("more than one descriptor");
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      // There was room for one: if none came, this process cannot have another.
      return any ? Broken("more than one descriptor") : SystemStatus(EMFILE, "receiving a descriptor");
    }
    filled += static_cast<std::size_t>(count);
  }
  return true;
}

// Owns every descriptor of the header, so that none is leaked. Returns whether the message has one at most.
bool Channel::TakeDescriptors(const cmsghdr& header) {
  bool alone = true;
  const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int received = -1;
    std::memcpy(&received, CMSG_DATA(&header) + i * sizeof(int), sizeof received);
    alone = alone && !descriptor_.valid();
    Descriptor taken(received);
    if (alone) descriptor_ = std::move(taken);
  }
  return alone;
}

}  // namespace cosmos
