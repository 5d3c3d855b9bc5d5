// What making clips needs of a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "cuda/abi.h"
#include "ffmpeg/ffmpeg.h"
#include "image/clip.h"
#include "image/to_rgb.h"

namespace cosmos {

class DecoderBackend;
class NvdecBackend;

// A frame of a clip that is in GPU memory.
struct DeviceSlot {
  int slot = 0;
  std::shared_ptr<AVFrame> frame;
};

// A GPU of this process, or the server's GPU as a decoder process reaches it. Thread-safe.
class DecodingGpu {
 public:
  virtual ~DecodingGpu() = default;

  // The hardware that decodes, or null: then nvdec_reason() says why not.
  virtual DecoderBackend* backend() const = 0;
  virtual const std::string& nvdec_reason() const = 0;
  // The same if it is NVDEC, else null.
  virtual NvdecBackend* nvdec_backend() const = 0;
  // Converts device frames into a clip, and copies the other frames from host memory, where `host` has an
  // address for each. `stream` is that of the device frames; it has finished on return.
  virtual Result<ClipPtr> MakeClip(const ClipShape& shape, std::span<const DeviceSlot> device,
                                   std::span<const std::uint8_t* const> host, CUstream stream,
                                   Orientation orientation) = 0;
  virtual void CountClip(bool by_hardware) = 0;
};

}  // namespace cosmos
