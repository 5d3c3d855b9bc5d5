// What the messages between the server's process and a decoder process say, as bytes. Everything that is
// decoded here is checked as hostile: the requests by the decoder, the answers by the server.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "media/clip_types.h"

namespace cosmos {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

// The walls around a decoder process. See docs/isolation.md.
struct Walls {
  bool system_calls = false;  // seccomp: only what decoding needs
  bool network = false;       // a network namespace of its own, without interfaces
  bool files = false;         // an empty file system
  bool memory = false;        // limits on memory, file size and descriptors
};

struct Hello {
  std::uint32_t protocol = 0;
  std::string version;  // of the package
  Walls walls;
};
Bytes Encode(const Hello& hello);
Result<Hello> DecodeHello(ByteView bytes);

// What a decoder process may know of the server's GPU.
struct GpuOffer {
  bool nvdec = false;
  std::string reason = {};  // why there is no NVDEC
};

struct OpenRequest {
  ClipRequest request;  // its GPU is not sent
  std::optional<GpuOffer> gpu = {};
  std::optional<Windows> windows;
  bool in_memory = false;  // the descriptor is sealed memory; otherwise it is a file
  std::int64_t bytes = 0;  // of the sealed memory
};
Bytes Encode(const OpenRequest& open);
Result<OpenRequest> DecodeOpen(ByteView bytes);

struct PicturesRequest {
  // A picture's bytes within the sealed memory.
  struct Picture {
    std::int64_t offset = 0;
    std::int64_t bytes = 0;
    int width = 0;  // 0 for an encoded picture
    int height = 0;
  };
  ClipRequest request;
  std::int64_t bytes = 0;  // of the sealed memory
  std::vector<Picture> pictures;
};
Bytes Encode(const PicturesRequest& pictures);
Result<PicturesRequest> DecodePictures(ByteView bytes);

// A clip without its pixels, which are the sealed memory beside it: those of the clip, then those of each
// image.
struct ClipReply {
  DecodedClip clip;  // `clip.clip` is null and the images have no data
  std::int64_t bytes = 0;
  std::uint32_t on_gpu = 0;  // the number of the clip if it is on the server's GPU; then there is no memory
};
Bytes Encode(const DecodedClip& clip);
// The answer must fit the request: its number of frames, its images, the size of its pixels; and a GPU, if it
// was made with one.
Result<ClipReply> DecodeClipReply(ByteView bytes, const ClipRequest& request);

Bytes Encode(const Status& failure);
// Returns the decoder's failure, or kInternal when the bytes are none.
Status DecodeFailure(ByteView bytes);

}  // namespace cosmos
