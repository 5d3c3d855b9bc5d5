#include "media/nvdec/device_clip_writer.h"

#include <cstdint>

namespace cosmos {

Result<ClipPtr> DeviceClipWriter::TakeClip(DecodingGpu* gpu, CUstream stream, Orientation orientation) {
  if (device_.empty()) return host_.TakeClip();
  std::vector<const std::uint8_t*> host(static_cast<std::size_t>(shape_.frames));
  for (int slot = 0; slot < shape_.frames; ++slot) host[static_cast<std::size_t>(slot)] = host_.frame(slot);
  COSMOS_ASSIGN_OR_RETURN(auto clip, gpu->MakeClip(shape_, device_, host, stream, orientation));
  device_.clear();
  return clip;
}

}  // namespace cosmos
