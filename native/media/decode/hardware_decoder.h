// The interface of hardware that decodes video beside the CPU. ClipDecoder knows hardware only by these two
// classes: a new kind of hardware implements both, and Gpu::Open chooses the backend.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cuda/abi.h"
#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/parameter_sets.h"
#include "media/clip_types.h"
#include "media/decode/decode_scheduler.h"
#include "media/decode/decoder.h"
#include "media/limits/job_guard.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// Errors that no other decoder could avoid.
inline bool EndsClip(StatusCode code) {
  return code == StatusCode::kDeviceLost || code == StatusCode::kCancelled || code == StatusCode::kTimeout;
}

// Decodes one stream. Anything unexpected counts as `refused`, so that the CPU decodes those pictures again:
// libavcodec defines what a damaged or unusual stream looks like. Only errors that end the clip are returned.
class HardwareDecoder : public Decoder {
 public:
  bool missing_is_damage() const override { return true; }
  // Lets other streams use the hardware until the next packet. Frames that were received stay valid.
  virtual void Release() = 0;
  // Whether the hardware cannot decode this stream at all: then every packet is refused.
  virtual bool gave_up() const = 0;
  // Why the first packet was refused, or empty.
  virtual const std::string& reason() const = 0;
  // The stream of its device frames; null when it returns frames in host memory.
  virtual CUstream stream() const = 0;
};

// Opens decoders and shares the hardware between clips. Thread-safe.
class DecoderBackend {
 public:
  virtual ~DecoderBackend() = default;

  // For reports: "nvdec".
  virtual std::string id() const = 0;
  // For messages: "NVDEC".
  virtual std::string name() const = 0;
  virtual DecodeTurns& scheduler() = 0;

  // Why it cannot decode this stream, or empty. The methods below are called only for streams that it can
  // decode.
  virtual std::string WhyNot(const AVCodecParameters& parameters, const ParameterSets& parameter_sets) = 0;
  // An estimate of the time that a decoder needs before it takes the first picture.
  virtual double SetupSeconds(const AVCodecParameters& parameters) const = 0;
  // How many more decoders could start without being created first.
  virtual int IdleDecoders(const AVCodecParameters& parameters) const = 0;
  // `index` lists the packets that will be sent. All arguments must outlive the decoder. kDeviceLost ends
  // the clip; after any other error the CPU decodes it.
  virtual Result<std::unique_ptr<HardwareDecoder>> Open(const AVCodecParameters& parameters,
                                                        const FrameIndex& index, const DecodeLimits& limits,
                                                        const JobGuard& guard) = 0;
};

}  // namespace cosmos
