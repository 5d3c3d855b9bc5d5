// Drives one of NVDEC's decoders for a stream: decodes pictures into surfaces and copies wanted ones out.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "media/nvdec/coded_stream.h"
#include "media/nvdec/device_frame.h"
#include "media/nvdec/nvdec.h"

namespace cosmos {

// The CUDA context must be current for all calls. kDeviceLost and the errors of `check_continue` end the
// clip; any other error means that the CPU decodes instead, and its message is the reason.
class NvdecSession {
 public:
  // `meter` counts the pictures of all sessions that share it.
  NvdecSession(Nvdec& nvdec, const CodedStream& coded, CUstream stream, CUevent event, std::int64_t max_bytes,
               DeviceFrameMeter meter)
      : nvdec_(nvdec),
        coded_(coded),
        stream_(stream),
        event_(event),
        max_bytes_(max_bytes),
        meter_(std::move(meter)) {}

  // Takes a decoder for the format from the pool, unless it has one.
  Status Begin(const CUVIDEOFORMAT& format, const std::function<Status()>& check_continue);
  bool begun() const { return static_cast<bool>(lease_); }
  // Returns the decoder to the pool.
  void End() { lease_ = {}; }
  // Whether the decoder can go on with this format: same shape, crop and colours.
  bool Fits(const CUVIDEOFORMAT& format) const;
  int surfaces() const { return lease_.shape().surfaces; }

  // The colour description of the VP8 or VP9 pictures that are copied from now on.
  void SetVpxColour(const VpxColour& colour) { vpx_colour_ = colour; }

  Status Decode(CUVIDPICPARAMS& picture);

  enum class Health { kIntact, kDamaged, kNotYetKnown };
  // The state of the picture in this surface.
  Result<Health> HealthOf(int surface) const;

  // Waits for the picture and copies it to a device frame. The copy is complete on return.
  Result<ff::Frame> Copy(const CUVIDPARSERDISPINFO& shown);

 private:
  Status CheckUsable() const;
  bool IsCroppedOtherwise(int width, int height) const;
  DecoderShape ShapeOf(const CUVIDEOFORMAT& format) const;
  Status Check(CUresult result, const char* doing) const { return nvdec_.device().Check(result, doing); }
  Status CopyPlanes(CUdeviceptr from, unsigned pitch, const AVFrame& to) const;
  void SetColour(AVFrame& frame) const;

  Nvdec& nvdec_;
  const CodedStream& coded_;
  CUstream stream_;
  CUevent event_;
  const std::int64_t max_bytes_;
  NvdecPool::Lease lease_;
  CUVIDEOFORMAT format_{};
  VpxColour vpx_colour_;
  const DeviceFrameMeter meter_;
};

}  // namespace cosmos
