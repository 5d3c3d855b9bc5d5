// NVDEC's decoders of one GPU. Creating one takes tens of milliseconds and its surfaces a lot of memory, so
// those that are given back are kept for the next clip of the same shape, or reconfigured to another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "cuda/device.h"
#include "media/nvdec/nvcuvid.h"

namespace cosmos {

// Decoders of equal shape can stand in for each other.
struct DecoderShape {
  struct Rect {
    int left = 0;
    int top = 0;
    int right = 0;
    int bottom = 0;
    bool operator==(const Rect&) const = default;
  };

  cudaVideoCodec codec = cudaVideoCodec_H264;
  cudaVideoChromaFormat chroma = cudaVideoChromaFormat_420;
  cudaVideoSurfaceFormat surface = cudaVideoSurfaceFormat_NV12;
  int bit_depth = 8;
  int width = 0;  // coded, even
  int height = 0;
  int surfaces = 0;   // that pictures are decoded into
  Rect display_area;  // of the coded picture, what is mapped
  Rect target;        // where in the mapped surface that goes, which is as large

  bool operator==(const DecoderShape&) const = default;
  // What a decoder of this shape takes of the GPU's memory, about.
  std::size_t bytes() const;
};

// Thread-safe. Outlives its leases.
class NvdecPool {
 public:
  struct Limits {
    int max_idle = 16;
    std::size_t max_idle_bytes = std::size_t{2} << 30;
  };
  struct Counts {
    std::int64_t created = 0;
    std::int64_t reused = 0;
    std::int64_t reconfigured = 0;
  };
  // What it takes to have a decoder.
  enum class Effort { kReuse, kReconfigure, kCreate };

  // Who uses a decoder, alone. Gives it back when it ends.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { swap(other); }
    Lease& operator=(Lease&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Lease();

    explicit operator bool() const { return handle_ != nullptr; }
    CUvideodecoder handle() const { return handle_; }
    const DecoderShape& shape() const { return shape_; }
    // It failed: nobody gets it any more.
    void Spoil() { spoilt_ = true; }
    bool spoilt() const { return spoilt_; }

   private:
    friend class NvdecPool;
    void swap(Lease& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(handle_, other.handle_);
      std::swap(shape_, other.shape_);
      std::swap(max_width_, other.max_width_);
      std::swap(max_height_, other.max_height_);
      std::swap(spoilt_, other.spoilt_);
    }

    NvdecPool* pool_ = nullptr;
    CUvideodecoder handle_ = nullptr;
    DecoderShape shape_;
    int max_width_ = 0;  // that it can be reconfigured to
    int max_height_ = 0;
    bool spoilt_ = false;
  };

  // `make_room` frees other memory of the GPU before a creation that failed for want of it is tried again.
  NvdecPool(const Nvcuvid& library, const cuda::Device& device, const Limits& limits,
            std::function<void()> make_room)
      : library_(library), device_(device), limits_(limits), make_room_(std::move(make_room)) {}
  ~NvdecPool() { Trim(); }
  NvdecPool(const NvdecPool&) = delete;
  NvdecPool& operator=(const NvdecPool&) = delete;

  // The context must be current, and a parser be in its sequence callback. One decoder is created at a time:
  // `may_go_on` is asked while others are at it, and what it fails with is returned. Fails with kOutOfMemory,
  // kDeviceLost or kEngine.
  Result<Lease> Take(const DecoderShape& shape, const std::function<Status()>& may_go_on);
  // What Take would have to do now, as far as the size to be displayed tells.
  Effort EffortFor(cudaVideoCodec codec, int width, int height) const;
  // Idle decoders that need not be created for it.
  int IdleFor(cudaVideoCodec codec, int width, int height) const;
  // Destroys the idle ones.
  void Trim();
  Counts counts() const;

 private:
  struct Idle {
    CUvideodecoder handle;
    DecoderShape shape;
    int max_width;
    int max_height;
  };
  using IdleList = std::list<Idle>;  // the last used first

  IdleList::iterator FindEqual(const DecoderShape& shape);
  IdleList::iterator FindReconfigurable(const DecoderShape& shape);
  Lease MakeLease(const Idle& decoder, const DecoderShape& shape);
  Status Reconfigure(CUvideodecoder handle, const DecoderShape& shape) const;
  Result<Lease> Create(const DecoderShape& shape, const std::function<Status()>& may_go_on);
  Result<Idle> CreateNow(const DecoderShape& shape) const;
  void Return(const Idle& decoder, bool spoilt);
  void Destroy(const IdleList& decoders) const;

  const Nvcuvid& library_;
  const cuda::Device& device_;
  const Limits limits_;
  const std::function<void()> make_room_;
  std::timed_mutex creating_;
  mutable std::mutex mutex_;
  IdleList idle_;
  std::size_t idle_bytes_ = 0;
  Counts counts_;
};

}  // namespace cosmos
