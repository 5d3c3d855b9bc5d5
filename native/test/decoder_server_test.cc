// The decoder process's side of the channel, without the process.
#include "isolation/decoder_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <thread>

#include "media_support.h"

namespace cosmos::test {
namespace {

Result<Message> Await(Channel& channel) {
  for (;;) {
    COSMOS_ASSIGN_OR_RETURN(auto message, channel.Receive());
    if (message) return *std::move(message);
    pollfd waiting{channel.socket(), POLLIN, 0};
    if (poll(&waiting, 1, 10'000) == 0) return Status(StatusCode::kTimeout, "no message came");
  }
}

// The thread that works may see the request only after the cancellation has come.
TEST(DecoderServer, CancelsARequestThatItHasNotBegun) {
  const std::filesystem::path video =
      MakeClip("served.avi", "-f lavfi -i testsrc2=s=32x32:r=100:d=300 -c:v mjpeg");  // read for its index
  std::array<int, 2> sockets{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
  // Never destroyed, as in a decoder process: the server's thread outlives the channel's end.
  auto* const served = new Channel(Descriptor(sockets[0]));
  Channel channel{Descriptor(sockets[1])};
  std::thread server([&] { ServeDecoder(*served, {}); });
  const auto hello = Await(channel);
  EXPECT_TRUE(hello.ok()) << hello.status().message();
  const Bytes request = Encode(OpenRequest{.request = Frames(1), .windows = {}});
  for (int i = 0; i < 50 && !HasFailure(); ++i) {
    const Descriptor file(open(video.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(channel.Send(MessageType::kOpen, request, file.get()).ok());
    EXPECT_TRUE(channel.Send(MessageType::kCancel, {}).ok());
    const auto answer = Await(channel);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    if (!answer.ok()) break;
    EXPECT_EQ(answer->type, MessageType::kFailure) << "request " << i;
    EXPECT_EQ(DecodeFailure(answer->body).code(), StatusCode::kCancelled);
  }
  channel.Shutdown();
  server.join();
}

}  // namespace
}  // namespace cosmos::test
