// A pool of NVDEC's decoders on one GPU. Creating one takes tens of milliseconds, so returned decoders are
// kept for the next clip of the same shape or reconfigured to another shape. Surfaces take a lot of memory,
// so the pool is bounded.
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

// Decoders of equal shape are interchangeable.
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
  int surfaces = 0;   // decode surfaces
  Rect display_area;  // the part of the coded picture that is mapped
  Rect target;        // its place in the mapped surface, which is as large

  bool operator==(const DecoderShape&) const = default;
  // Whether a decoder of this shape can be used for `other` as it is: more surfaces do no harm.
  bool Covers(const DecoderShape& other) const;
  // An estimate of the GPU memory that a decoder of this shape takes.
  std::size_t bytes() const;
};

// What is known of a stream's pictures before NVDEC's parser has read the headers.
struct ExpectedPictures {
  cudaVideoCodec codec = cudaVideoCodec_H264;
  int chroma = 1;  // as cudaVideoChromaFormat
  int bit_depth = 8;
  int width = 0;  // as displayed
  int height = 0;
};

// Thread-safe. Must outlive its leases.
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
  // What Take has to do for a decoder.
  enum class Effort { kReuse, kReconfigure, kCreate };

  // Exclusive use of a decoder. Returns it to the pool on destruction.
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
    // The pool destroys a failed decoder instead of lending it again.
    void MarkFailed() { failed_ = true; }
    bool failed() const { return failed_; }

   private:
    friend class NvdecPool;
    void swap(Lease& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(handle_, other.handle_);
      std::swap(shape_, other.shape_);
      std::swap(max_width_, other.max_width_);
      std::swap(max_height_, other.max_height_);
      std::swap(max_surfaces_, other.max_surfaces_);
      std::swap(failed_, other.failed_);
    }

    NvdecPool* pool_ = nullptr;
    CUvideodecoder handle_ = nullptr;
    DecoderShape shape_;
    int max_width_ = 0;  // the largest size that it can be reconfigured to
    int max_height_ = 0;
    int max_surfaces_ = 0;
    bool failed_ = false;
  };

  // `make_room` frees other GPU memory: it is called once when a creation ran out of memory.
  NvdecPool(const Nvcuvid& library, const cuda::Device& device, const Limits& limits,
            std::function<void()> make_room)
      : library_(library), device_(device), limits_(limits), make_room_(std::move(make_room)) {}
  ~NvdecPool() { Trim(); }
  NvdecPool(const NvdecPool&) = delete;
  NvdecPool& operator=(const NvdecPool&) = delete;

  // Call it from a parser's sequence callback with the CUDA context current. One decoder is created at a
  // time: `check_continue` is polled while others are created, and its errors are returned. Fails with
  // kOutOfMemory, kDeviceLost or kEngine.
  Result<Lease> Take(const DecoderShape& shape, const std::function<Status()>& check_continue);
  // An estimate of what Take would have to do now.
  Effort EffortFor(const ExpectedPictures& pictures) const;
  // The number of idle decoders that can decode such pictures.
  int IdleFor(const ExpectedPictures& pictures) const;
  // Destroys all idle decoders.
  void Trim();
  Counts counts() const;

 private:
  struct Idle {
    CUvideodecoder handle;
    DecoderShape shape;
    int max_width;
    int max_height;
    int max_surfaces;

    // An estimate of its GPU memory. A decoder that was reconfigured to less keeps what it was made with.
    std::size_t bytes() const;
  };
  using IdleList = std::list<Idle>;  // most recently used first

  static bool CanDecode(const Idle& idle, const ExpectedPictures& pictures);
  IdleList::iterator FindReady(const DecoderShape& shape);
  IdleList::iterator FindReconfigurable(const DecoderShape& shape);
  Lease MakeLease(const Idle& decoder, const DecoderShape& shape);
  Status Reconfigure(CUvideodecoder handle, const DecoderShape& shape) const;
  Result<Lease> Create(const DecoderShape& shape, const std::function<Status()>& check_continue);
  Result<Idle> CreateNow(const DecoderShape& shape) const;
  void Return(const Idle& decoder, bool failed);
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
