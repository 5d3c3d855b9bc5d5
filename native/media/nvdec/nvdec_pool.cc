#include "media/nvdec/nvdec_pool.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace cosmos {
namespace {

// The least maximum size of a new decoder, so that small ones can be reconfigured.
constexpr int kLeastMaxWidth = 1280;
constexpr int kLeastMaxHeight = 720;
// One is enough: each picture is copied and unmapped before the next is mapped.
constexpr int kOutputSurfaces = 1;

template <typename To>
void SetRect(To& to, const DecoderShape::Rect& from) {
  to.left = static_cast<short>(from.left);
  to.top = static_cast<short>(from.top);
  to.right = static_cast<short>(from.right);
  to.bottom = static_cast<short>(from.bottom);
}

std::string SizeOf(const DecoderShape& shape) {
  return std::to_string(shape.width) + " x " + std::to_string(shape.height);
}

}  // namespace

std::size_t DecoderShape::bytes() const {
  const std::size_t samples = std::size_t{1} * width * height;
  const std::size_t picture = chroma == cudaVideoChromaFormat_444 ? samples * 3 : samples * 3 / 2;
  return picture * (bit_depth > 8 ? 2 : 1) * (surfaces + kOutputSurfaces);
}

bool DecoderShape::Covers(const DecoderShape& other) const {
  DecoderShape same = other;
  same.surfaces = surfaces;
  return same == *this && surfaces >= other.surfaces;
}

std::size_t NvdecPool::Idle::bytes() const {
  DecoderShape most = shape;
  most.width = max_width;
  most.height = max_height;
  most.surfaces = max_surfaces;
  return most.bytes();
}

NvdecPool::Lease::~Lease() {
  if (handle_) pool_->Return({handle_, shape_, max_width_, max_height_, max_surfaces_}, failed_);
}

NvdecPool::IdleList::iterator NvdecPool::FindReady(const DecoderShape& shape) {
  return std::ranges::find_if(idle_, [&](const Idle& idle) { return idle.shape.Covers(shape); });
}

NvdecPool::IdleList::iterator NvdecPool::FindReconfigurable(const DecoderShape& shape) {
  return std::ranges::find_if(idle_, [&](const Idle& idle) {
    return idle.shape.codec == shape.codec && idle.shape.chroma == shape.chroma &&
           idle.shape.surface == shape.surface && idle.shape.bit_depth == shape.bit_depth &&
           shape.width <= idle.max_width && shape.height <= idle.max_height;
  });
}

NvdecPool::Lease NvdecPool::MakeLease(const Idle& decoder, const DecoderShape& shape) {
  Lease lease;
  lease.pool_ = this;
  lease.handle_ = decoder.handle;
  lease.shape_ = shape;
  lease.max_width_ = decoder.max_width;
  lease.max_height_ = decoder.max_height;
  lease.max_surfaces_ = std::max(decoder.max_surfaces, shape.surfaces);
  return lease;
}

bool NvdecPool::CanDecode(const Idle& idle, const ExpectedPictures& pictures) {
  return idle.shape.codec == pictures.codec && idle.shape.chroma == pictures.chroma &&
         idle.shape.bit_depth == pictures.bit_depth && pictures.width <= idle.max_width &&
         pictures.height <= idle.max_height;
}

NvdecPool::Effort NvdecPool::EffortFor(const ExpectedPictures& pictures) const {
  constexpr int kMaxCropped = 15;  // a macroblock less one pixel
  Effort effort = Effort::kCreate;
  const std::lock_guard lock(mutex_);
  for (const Idle& idle : idle_) {
    if (!CanDecode(idle, pictures)) continue;
    effort = Effort::kReconfigure;
    const int columns = idle.shape.width - pictures.width;
    const int rows = idle.shape.height - pictures.height;
    if (columns >= 0 && columns <= kMaxCropped && rows >= 0 && rows <= kMaxCropped) return Effort::kReuse;
  }
  return effort;
}

int NvdecPool::IdleFor(const ExpectedPictures& pictures) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::ranges::count_if(idle_, [&](const Idle& idle) { return CanDecode(idle, pictures); }));
}

Result<NvdecPool::Lease> NvdecPool::Take(const DecoderShape& shape,
                                         const std::function<Status()>& check_continue) {
  Lease lease;
  {
    const std::lock_guard lock(mutex_);
    auto found = FindReady(shape);
    const bool ready = found != idle_.end();
    if (!ready) found = FindReconfigurable(shape);
    if (found != idle_.end()) {
      lease = MakeLease(*found, ready ? found->shape : shape);
      idle_bytes_ -= found->bytes();
      idle_.erase(found);
    }
    if (ready) {
      ++counts_.reused;
      return lease;
    }
  }
  if (lease) {
    Status status = Reconfigure(lease.handle(), shape);
    if (status.ok()) {
      const std::lock_guard lock(mutex_);
      ++counts_.reconfigured;
      return lease;
    }
    lease.MarkFailed();
    if (status.code() == StatusCode::kDeviceLost) return status;
    lease = {};  // frees its memory for the new decoder
  }
  return Create(shape, check_continue);
}

Status NvdecPool::Reconfigure(CUvideodecoder handle, const DecoderShape& shape) const {
  CUVIDRECONFIGUREDECODERINFO info{};
  info.ulWidth = shape.width;
  info.ulHeight = shape.height;
  info.ulTargetWidth = shape.target.right;
  info.ulTargetHeight = shape.target.bottom;
  info.ulNumDecodeSurfaces = shape.surfaces;
  SetRect(info.display_area, shape.display_area);
  SetRect(info.target_rect, shape.target);
  return device_.Check(library_.api().ReconfigureDecoder(handle, &info),
                       "NVDEC's decoder cannot be reconfigured to " + SizeOf(shape));
}

Result<NvdecPool::Lease> NvdecPool::Create(const DecoderShape& shape,
                                           const std::function<Status()>& check_continue) {
  constexpr std::chrono::milliseconds kPollInterval{10};
  std::unique_lock gate(creating_, std::defer_lock);
  while (!gate.try_lock_for(kPollInterval)) COSMOS_RETURN_IF_ERROR(check_continue());

  auto made = CreateNow(shape);
  if (!made.ok() && made.status().code() == StatusCode::kOutOfMemory) {
    Trim();
    make_room_();
    made = CreateNow(shape);
  }
  if (!made.ok()) return made.TakeStatus();
  const std::lock_guard lock(mutex_);
  ++counts_.created;
  return MakeLease(made.value(), shape);
}

Result<NvdecPool::Idle> NvdecPool::CreateNow(const DecoderShape& shape) const {
  CUVIDDECODECREATEINFO info{};
  info.ulWidth = shape.width;
  info.ulHeight = shape.height;
  info.ulMaxWidth = std::max(shape.width, kLeastMaxWidth);
  info.ulMaxHeight = std::max(shape.height, kLeastMaxHeight);
  info.ulNumDecodeSurfaces = shape.surfaces;
  info.CodecType = shape.codec;
  info.ChromaFormat = shape.chroma;
  info.bitDepthMinus8 = shape.bit_depth - 8;
  info.ulCreationFlags = cudaVideoCreate_PreferCUVID;
  info.OutputFormat = shape.surface;
  info.DeinterlaceMode = cudaVideoDeinterlaceMode_Weave;
  info.ulTargetWidth = shape.target.right;
  info.ulTargetHeight = shape.target.bottom;
  info.ulNumOutputSurfaces = kOutputSurfaces;
  SetRect(info.display_area, shape.display_area);
  SetRect(info.target_rect, shape.target);
  CUvideodecoder handle = nullptr;
  COSMOS_RETURN_IF_ERROR(device_.Check(library_.api().CreateDecoder(&handle, &info),
                                       "NVDEC cannot create a decoder for " + SizeOf(shape)));
  return Idle{handle, shape, static_cast<int>(info.ulMaxWidth), static_cast<int>(info.ulMaxHeight),
              shape.surfaces};
}

void NvdecPool::Return(const Idle& decoder, bool failed) {
  IdleList surplus;
  if (failed) {
    surplus.push_back(decoder);
  } else {
    const std::lock_guard lock(mutex_);
    idle_.push_front(decoder);
    idle_bytes_ += decoder.bytes();
    while (!idle_.empty() &&
           (static_cast<int>(idle_.size()) > limits_.max_idle || idle_bytes_ > limits_.max_idle_bytes)) {
      idle_bytes_ -= idle_.back().bytes();
      surplus.splice(surplus.begin(), idle_, std::prev(idle_.end()));
    }
  }
  Destroy(surplus);
}

void NvdecPool::Trim() {
  IdleList idle;
  {
    const std::lock_guard lock(mutex_);
    idle.swap(idle_);
    idle_bytes_ = 0;
  }
  Destroy(idle);
}

void NvdecPool::Destroy(const IdleList& decoders) const {
  for (const Idle& decoder : decoders) {
    if (device_.MakeCurrent().ok()) library_.api().DestroyDecoder(decoder.handle);
  }
}

NvdecPool::Counts NvdecPool::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace cosmos
