// Decoder processes, started ahead and kept.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "isolation/decoder_process.h"
#include "media/clip_reader.h"

namespace cosmos {

struct DecoderPoolStats {
  int idle = 0;
  int busy = 0;
  std::int64_t started = 0;
  std::int64_t crashed = 0;  // ended by themselves, or broke the protocol
  // For a cancellation or a time limit, to which they did not react, or because this process ran short of
  // something.
  std::int64_t ended = 0;
  std::int64_t retired = 0;  // after their last clip, or closed before their video's end
};

// Does what clip_reader.h does, in processes without rights. Thread-safe.
class DecoderPool : public std::enable_shared_from_this<DecoderPool> {
 public:
  // Starts the first process, and the others in the background.
  static Result<std::shared_ptr<DecoderPool>> Open(const DecoderOptions& options);
  DecoderPool(const DecoderPool&) = delete;
  DecoderPool& operator=(const DecoderPool&) = delete;

  // Like ClipReader::Open. The reader keeps a process until its last clip. With a GPU, the process reads the
  // file and hands its packets to NVDEC in this one.
  Result<std::unique_ptr<ClipReader>> OpenReader(const MediaSource& source, const ClipRequest& request,
                                                 const std::optional<Windows>& windows,
                                                 const CancelTokenPtr& cancel);
  // Like the function of the same name, for a request without a GPU.
  Result<DecodedClip> ClipFromImages(std::span<const StillImage> images, const ClipRequest& request,
                                     const CancelTokenPtr& cancel);

  // The walls of the first process; the others have the same.
  const Walls& walls() const { return walls_; }
  DecoderPoolStats stats() const;

 private:
  friend class IsolatedReader;
  using ProcessPtr = std::unique_ptr<DecoderProcess>;

  explicit DecoderPool(DecoderOptions options) : options_(std::move(options)) {}

  // A process that is in use, until it is given back.
  class Lease {
   public:
    Lease() = default;
    Lease(DecoderPool& pool, ProcessPtr process) : pool_(&pool), process_(std::move(process)) {}
    Lease(Lease&& other) noexcept { swap(other); }
    Lease& operator=(Lease&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Lease() { Return(false); }

    explicit operator bool() const { return process_ != nullptr; }
    DecoderProcess* operator->() const { return process_.get(); }
    // Gives it back. `finished`: it has answered all that it was asked, and holds no video.
    void Return(bool finished) {
      if (process_) pool_->Return(std::move(process_), finished);
    }

   private:
    void swap(Lease& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(process_, other.process_);
    }

    DecoderPool* pool_ = nullptr;
    ProcessPtr process_;
  };

  Result<Lease> Take();
  void Return(ProcessPtr process, bool finished);
  Result<ProcessPtr> Start();
  void Refill();
  bool StartIdle();

  const DecoderOptions options_;
  Walls walls_;
  mutable std::mutex mutex_;
  std::vector<ProcessPtr> idle_;
  int starting_ = 0;
  DecoderPoolStats stats_;
  // Last: its destructor waits for a start that is under way.
  ThreadPool starter_{1};
};

}  // namespace cosmos
