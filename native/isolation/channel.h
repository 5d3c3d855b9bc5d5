// Messages over a socket between the server's process and a decoder process. Not thread-safe, except that
// one thread may send while another receives.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/status.h"

namespace cosmos {

// Raised by every change of a message. The two files that talk come from one build, so that a difference
// means a broken installation.
inline constexpr std::uint32_t kProtocolVersion = 3;

enum class MessageType : std::uint32_t {
  kHello = 1,  // from the decoder, once: its version and its sandbox
  kOpen,       // to it: a video, with its descriptor. Answered by kOpened or kFailure
  kNext,       // to it: the next clip. Answered by kClip, kEnd or kFailure
  kPictures,   // to it: still images, with their bytes. Answered by kClip or kFailure
  kCancel,     // to it, while it works on a request
  kOpened,
  kClip,  // with sealed memory that holds the pixels
  kEnd,   // there are no more clips
  kFailure,
  kGpuCall,    // while it works on kNext: what it asks of the server's GPU
  kGpuAnswer,  // to it, for a kGpuCall
};

struct Message {
  MessageType type = MessageType::kHello;
  std::vector<std::uint8_t> body;
  Descriptor descriptor;  // at most one accompanies a message
};

// With this exit code a decoder process says that the system was short of something, and that its media is
// not to blame.
inline constexpr int kExitOfShortage = 75;  // EX_TEMPFAIL

// 65,535 still images take 24 bytes each; everything else is far smaller.
inline constexpr std::uint32_t kMaxMessageBytes = 2U << 20;

class Channel {
 public:
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}

  int socket() const { return socket_.get(); }
  // Ends the channel for both sides; a thread that waits for its socket wakes up.
  void Shutdown() { shutdown(socket_.get(), SHUT_RDWR); }
  // Blocks until the other side has taken the message. Fails with kSource when the other side has ended or
  // takes nothing for ten seconds, and with kOutOfMemory when the system has been short of memory or
  // descriptors for as long.
  Status Send(MessageType type, std::span<const std::uint8_t> body, int descriptor = -1);
  // Takes what has arrived, without waiting. Returns a message when one is complete. Fails with kSource when
  // the other side has ended, with kInternal when it sent what is no message, and with kOutOfMemory when this
  // process can have no more memory or descriptors.
  Result<std::optional<Message>> Receive();

 private:
  bool TakeDescriptors(const cmsghdr& header);
  Result<bool> Fill(std::span<std::uint8_t> into, std::size_t& filled);

  struct Header {
    std::uint32_t magic = 0;
    std::uint32_t type = 0;
    std::uint32_t bytes = 0;
  };
  static constexpr std::uint32_t kMagic = 0x43454431;

  Descriptor socket_;
  Header header_;
  std::size_t header_filled_ = 0;
  std::vector<std::uint8_t> body_;
  std::size_t body_filled_ = 0;
  Descriptor descriptor_;
};

}  // namespace cosmos
