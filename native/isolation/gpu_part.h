// A part of a clip's runs that a decoder process feeds to an engine of NVDEC of its own: a stream with a
// channel and a thread. A clip that is alone is so decoded by several engines at a time.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/status.h"
#include "isolation/channel.h"
#include "isolation/gpu_stream.h"
#include "media/decode/decode_scheduler.h"

namespace cosmos {

// Serves until the other side closes its end, or until it is ended. It gives its turn back when it stops
// serving. It also stops when nothing came for a second while other clips wait for a slot: then the decoder
// process decodes with its first stream alone.
class GpuPart {
 public:
  // Returns a part, and the descriptor of the other end. Fails with kOutOfMemory when this process can have
  // no more descriptors or threads. The references must outlive the part.
  static Result<std::pair<std::unique_ptr<GpuPart>, Descriptor>> Open(DecodeTurns& turns,
                                                                      DecodeTurns::Turn turn,
                                                                      std::unique_ptr<GpuStream> stream,
                                                                      GpuPictures& pictures);
  ~GpuPart() { End(); }
  GpuPart(const GpuPart&) = delete;
  GpuPart& operator=(const GpuPart&) = delete;

  // Stops serving after the call that is being answered. Does not wait for that.
  void Stop();
  // Stops, and waits.
  void End();
  // How the other side broke the protocol, or kOutOfMemory when this one ran short of something.
  Status failure() const;

 private:
  GpuPart(Channel channel, DecodeTurns& turns, DecodeTurns::Turn turn, std::unique_ptr<GpuStream> stream,
          GpuPictures& pictures)
      : channel_(std::move(channel)),
        turns_(turns),
        turn_(std::move(turn)),
        stream_(std::move(stream)),
        pictures_(pictures),
        thread_([this] { Run(); }) {}

  void Run();
  Status Serve();
  Result<bool> Answer(const Message& message);

  Channel channel_;
  DecodeTurns& turns_;
  DecodeTurns::Turn turn_;
  std::unique_ptr<GpuStream> stream_;
  GpuPictures& pictures_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  Status failure_;
  std::thread thread_;
};

}  // namespace cosmos
