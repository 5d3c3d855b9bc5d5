// A part of a clip's runs that a decoder process feeds to an engine of NVDEC of its own: a stream with a
// channel and a thread. A clip that is alone is so decoded by several engines at a time.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/status.h"
#include "isolation/channel.h"
#include "isolation/gpu_stream.h"
#include "media/decode/decode_scheduler.h"

namespace cosmos {

// Serves until the other side closes its end, or until it is destroyed. It gives its turn back when it stops
// serving.
class GpuPart {
 public:
  // Returns a part, and the descriptor of the other end. Fails when the process can open no more descriptors.
  static Result<std::pair<std::unique_ptr<GpuPart>, Descriptor>> Open(DecodeTurns::Turn turn,
                                                                      std::unique_ptr<GpuStream> stream,
                                                                      GpuPictures& pictures);
  ~GpuPart() { End(); }
  GpuPart(const GpuPart&) = delete;
  GpuPart& operator=(const GpuPart&) = delete;

  // Stops serving, after the call that is being answered.
  void End();
  // How the other side broke the protocol.
  Status failure() const;

 private:
  GpuPart(Channel channel, DecodeTurns::Turn turn, std::unique_ptr<GpuStream> stream, GpuPictures& pictures)
      : channel_(std::move(channel)),
        turn_(std::move(turn)),
        stream_(std::move(stream)),
        pictures_(pictures),
        thread_([this] { Run(); }) {}

  void Run();
  Status Serve();
  Status Answer(const Message& message);

  Channel channel_;
  DecodeTurns::Turn turn_;
  std::unique_ptr<GpuStream> stream_;
  GpuPictures& pictures_;
  mutable std::mutex mutex_;
  Status failure_;
  std::thread thread_;
};

}  // namespace cosmos
