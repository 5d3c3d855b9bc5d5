// The messages between the server's process and a decoder process, as each side reads the other's. The first
// byte says which.
#include "isolation/messages.h"
#include "isolation/gpu_messages.h"
#include "isolation/remote_gpu.h"

#include "fuzz/target.h"

namespace cosmos::fuzz {
namespace {

// What was accepted can be said again, and is accepted again.
template <typename Message, typename Decode>
void CheckMessage(const Result<Message>& message, Decode decode) {
  if (message.ok()) Require(decode(Encode(message.value())).ok(), "a message that is accepted only once");
}

}  // namespace

void FuzzOne(Bytes input) {
  if (input.empty()) return;
  const Bytes message = input.subspan(1);
  switch (input[0] % 7) {
    case 0: return CheckMessage(DecodeHello(message), DecodeHello);
    case 1: return CheckMessage(DecodeOpen(message), DecodeOpen);
    case 2: return CheckMessage(DecodePictures(message), DecodePictures);
    case 3: {
      ClipRequest request;
      request.shape = {.frames = 2, .height = 8, .width = 8};
      request.keep_images = message.size() % 2 == 0;
      if (message.size() % 4 > 1) request.gpu = std::make_shared<RemoteGpu>(false, "", RemoteLink::Ask());
      const auto reply = DecodeClipReply(message, request);
      if (!reply.ok()) return;
      Require(reply.value().bytes >= 0 && reply.value().clip.frames.size() == 2,
              "an answer to another request");
      return;
    }
    case 4: return CheckMessage(DecodeGpuCall(message), DecodeGpuCall);
    case 5: return CheckMessage(DecodeGpuAnswer(message), DecodeGpuAnswer);
    default: Require(!DecodeFailure(message).ok(), "a failure that is none");
  }
}

}  // namespace cosmos::fuzz
