// Stands in for cosmos-embed-decoder and misbehaves as its file's name says: tests start it through links.
// Without a name that it knows it answers every request as a decoder would, with an empty clip.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "hostile_gpu.h"
#include "isolation/channel.h"
#include "isolation/messages.h"
#include "isolation/sealed_memory.h"

namespace {

using cosmos::Bytes;
using cosmos::ByteView;
using cosmos::Channel;
using cosmos::Descriptor;
using cosmos::Message;
using cosmos::MessageType;

std::string behaviour;
bool Is(std::string_view name) { return behaviour == name; }

void SendRaw(const Channel& channel, std::uint32_t magic, std::uint32_t type, std::uint32_t bytes) {
  const std::uint32_t header[] = {magic, type, bytes};
  if (write(channel.socket(), header, sizeof header) < 0) std::exit(1);
}

Message Await(Channel& channel) {
  for (;;) {
    auto received = channel.Receive();
    if (!received.ok()) std::exit(0);
    if (received.value()) return *std::move(received.value());
    pollfd waiting{channel.socket(), POLLIN, 0};
    poll(&waiting, 1, -1);
  }
}

// Does what may happen while a request is worked on. Returns whether an answer was sent.
bool Misbehave(Channel& channel) {
  if (Is("abort")) std::abort();
  if (Is("segv")) raise(SIGSEGV);
  if (Is("exit")) std::exit(7);
  if (Is("killed")) raise(SIGKILL);
  if (Is("hang")) {
    for (;;) pause();
  }
  if (Is("spin")) {
    while (getppid() != 0) {
    }
  }
  if (Is("closes")) {
    channel.Shutdown();
    for (;;) pause();
  }
  if (Is("short")) _exit(cosmos::kExitOfShortage);
  if (Is("garbage")) {
    SendRaw(channel, 0xdeadbeef, 6, 0);
    return true;
  }
  if (Is("endless")) {
    SendRaw(channel, 0x43454431, 7, 0xffffffffU);
    return true;
  }
  if (Is("unknown-type")) {
    SendRaw(channel, 0x43454431, 99, 0);
    return true;
  }
  if (Is("half")) {
    SendRaw(channel, 0x43454431, 7, 1000);
    std::exit(0);
  }
  if (Is("out-of-order")) return channel.Send(MessageType::kHello, {}).ok();
  if (Is("bad-failure")) {
    const Bytes nonsense(9, 0xff);
    return channel.Send(MessageType::kFailure, nonsense).ok();
  }
  if (Is("device-lost")) {
    return channel
        .Send(MessageType::kFailure, Encode(cosmos::Status(cosmos::StatusCode::kDeviceLost, "gone")))
        .ok();
  }
  return false;
}

cosmos::DecodedClip Clip(const cosmos::ClipRequest& request) {
  cosmos::DecodedClip clip;
  clip.frames.resize(static_cast<std::size_t>(Is("few-frames") ? 1 : request.shape.frames));
  if (Is("nan")) clip.frames[0].pts = std::numeric_limits<double>::quiet_NaN();
  if (Is("huge-index")) clip.frames[0].index = std::numeric_limits<std::int64_t>::max();
  if (Is("images")) clip.images.push_back({60000, 60000, {}});
  clip.report.decoder = Is("decoder-name") ? "nvdec" : "software";
  return clip;
}

void SendClip(Channel& channel, const cosmos::ClipRequest& request) {
  const std::size_t bytes = Is("small-memory") ? 1 : request.shape.bytes();
  const Bytes pixels(bytes, 7);
  if (Is("no-memory")) {
    channel.Send(MessageType::kClip, Encode(Clip(request))).ok();
    return;
  }
  if (Is("unsealed")) {
    const Descriptor memory(memfd_create("unsealed", MFD_CLOEXEC));
    if (ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0) std::exit(1);
    channel.Send(MessageType::kClip, Encode(Clip(request)), memory.get()).ok();
    return;
  }
  if (Is("unwritten")) {
    const Descriptor memory(memfd_create("unwritten", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0) std::exit(1);
    if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
      std::exit(1);
    channel.Send(MessageType::kClip, Encode(Clip(request)), memory.get()).ok();
    return;
  }
  if (Is("a-file")) {
    const Descriptor file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    channel.Send(MessageType::kClip, Encode(Clip(request)), file.get()).ok();
    return;
  }
  const ByteView parts[] = {pixels};
  auto memory = cosmos::SealedCopy(parts);
  Bytes body = Encode(Clip(request));
  if (Is("cut")) body.pop_back();
  if (Is("long")) body.push_back(0);
  channel.Send(MessageType::kClip, body, memory.value().get()).ok();
}

}  // namespace

int main(int, char** arguments) {
  const std::string path = arguments[0];
  behaviour = path.substr(path.rfind('/') + 1);
  if (Is("silent")) pause();
  if (Is("early-exit")) return 3;
  Channel channel{Descriptor(3)};
  const cosmos::Hello hello{Is("protocol") ? 0 : cosmos::kProtocolVersion,
                            Is("version") ? "0.0.1" : COSMOS_VERSION,
                            {true, true, !Is("no-files"), true}};
  if (!channel.Send(MessageType::kHello, Encode(hello)).ok()) return 1;
  cosmos::ClipRequest request;
  bool delivered = false;
  for (;;) {
    Message message = Await(channel);
    const bool opening = message.type == MessageType::kOpen;
    // "open-abort" does at the first message what "abort" does at the second.
    if (opening && behaviour.starts_with("open-")) behaviour = behaviour.substr(5);
    if (opening) {
      request = cosmos::DecodeOpen(message.body).value().request;
      delivered = false;
      if (path.find("/open-") != std::string::npos && Misbehave(channel)) continue;
      channel.Send(MessageType::kOpened, {}).ok();
    } else if (message.type == MessageType::kNext && !Misbehave(channel) &&
               !MisbehaveOnGpu(channel, behaviour, request)) {
      if (delivered) {
        channel.Send(MessageType::kEnd, {}).ok();
      } else {
        SendClip(channel, request);
      }
      delivered = true;
    }
  }
}
