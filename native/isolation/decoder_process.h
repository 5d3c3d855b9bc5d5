// The server's side of one decoder process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/status.h"
#include "isolation/channel.h"
#include "isolation/messages.h"

namespace cosmos {

struct DecoderOptions {
  std::string executable;      // an absolute path
  std::int64_t max_bytes = 0;  // the largest DecodeLimits::max_bytes of any request
  int idle = 1;                // processes that are kept ready
  int clips_per_process = 1000;
};

// How long one answer may take.
struct Patience {
  double seconds = 0;
  int threads = 1;  // that may use the processor meanwhile
};

// What comes of a kGpuCall: the body of the answer, if one is due, with a descriptor or none, and how long
// other clips were waited for, which does not count against the patience.
struct GpuReply {
  std::optional<Bytes> answer;
  Descriptor descriptor;
  std::chrono::steady_clock::duration waited{};
};
// Its errors are breaches of the protocol, or kOutOfMemory when this process is short of something.
using GpuHandler = std::function<Result<GpuReply>(const Message&)>;

class CancelEvent;

// Not thread-safe. Ends its process when it is destroyed.
class DecoderProcess {
 public:
  // Starts a process and waits for its greeting. Fails with kLibrary when the executable cannot be run or
  // belongs to another version of the package, and with kOutOfMemory when the system is short of something.
  static Result<std::unique_ptr<DecoderProcess>> Start(const DecoderOptions& options);
  ~DecoderProcess();
  DecoderProcess(const DecoderProcess&) = delete;
  DecoderProcess& operator=(const DecoderProcess&) = delete;

  pid_t id() const { return id_; }
  const Walls& walls() const { return walls_; }
  // False once the process has ended, was ended, or broke the protocol. It is of no more use then.
  bool alive() const { return alive_; }
  // Clips that it has made.
  int clips() const { return clips_; }
  // Whether it ended by itself or broke the protocol, rather than for a cancellation, for its time limit, or
  // for want of something.
  bool crashed() const { return crashed_; }
  // Whether the last request was answered, be it with a failure.
  bool answered() const { return answered_; }
  // Notices the end of a process that waits for requests.
  void CheckIdle();

  // Sends a request and waits for its answer. A failure that the decoder reports comes back as that Status. A
  // decoder that ends, breaks the protocol, or is late fails the request and is ended. It is also ended when
  // this process is short of something in between, but then the request fails with kOutOfMemory. `gpu` does
  // what the decoder asks of the GPU meanwhile; without it the decoder may ask nothing.
  Result<Message> Ask(MessageType type, ByteView body, int descriptor, const Patience& patience,
                      const CancelTokenPtr& cancel, const GpuHandler& gpu = {});
  // Ends a process whose answer did not fit the request, or could not be taken, and says why the request
  // failed.
  Status Refuse(const Status& why) { return Ended(why); }

 private:
  DecoderProcess(pid_t id, Channel channel) : id_(id), channel_(std::move(channel)) {}

  using Clock = std::chrono::steady_clock;

  Status Greet(const DecoderOptions& options);
  Result<Message> Wait(Clock::time_point deadline, CancelEvent& cancel, const GpuHandler& gpu);
  void LimitProcessorTime(const Patience& patience) const;
  // Ends the process and takes its status from the system, so that it does not remain as a zombie.
  int End();
  std::optional<int> AwaitEnd();
  Status Ended(const Status& failure);

  pid_t id_;
  Channel channel_;
  Walls walls_;
  int clips_ = 0;
  bool alive_ = true;
  bool crashed_ = false;
  bool answered_ = false;
};

}  // namespace cosmos
