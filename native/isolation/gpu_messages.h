// What a decoder process asks of the server's GPU while it makes a clip, and the answers. The process reads
// the file; NVDEC and the pictures stay in the server's process. As in messages.h, everything decoded here is
// checked as hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "image/to_rgb.h"
#include "isolation/messages.h"
#include "media/decode/decode_scheduler.h"
#include "media/nvdec/coded_stream.h"

namespace cosmos {

// Packets beyond this travel in sealed memory.
inline constexpr std::size_t kInlinePacketBytes = std::size_t{128} << 10;
// The most notes of one message.
inline constexpr std::size_t kMaxGpuNotes = 4096;
// Parts that one clip may have beside its first stream.
inline constexpr int kMaxGpuParts = 8;

// What the server is told and does not answer. Frames and clips have numbers, which the server gives.
struct GpuNote {
  enum class Kind : std::uint8_t {
    kReset,
    kRelease,
    kClose,
    kEndTurn,
    kLearn,
    kDropFrame,
    kDropClip,
    kCount
  };
  Kind kind = Kind::kReset;
  std::uint32_t id = 0;  // of the frame or the clip; kCount: 1 for a clip by the hardware
  // kLearn:
  DecodePath path = DecodePath::kSoftware;
  DecodeWork work = {};
  double seconds = 0;
};

// A call, after the notes before it.
struct GpuCall {
  enum class Kind : std::uint8_t {
    kNotes,      // nothing more, and no answer
    kWhyNot,     // stream → text
    kSetup,      // stream → seconds
    kIdle,       // stream → decoders
    kBeginTurn,  // work, path → path, hardware_was_busy
    kOpenPart,   // → part: whether a slot was free. If so, with the descriptor of the part's channel, which
                 // takes kOpen, kSend and kDrain
    kOpen,       // stream
    kSend,       // packet → progress
    kDrain,      // → progress
    kMakeClip,   // orientation, frames → clip; with the frames in host memory, if there are any, as sealed
                 // memory
  };
  struct Frame {
    int slot = 0;
    std::uint32_t id = 0;
  };

  Kind kind = Kind::kNotes;
  std::vector<GpuNote> notes = {};
  CodedStream stream = {};
  DecodeWork work = {};
  std::optional<DecodePath> path = {};
  CodedPacket packet = {};
  std::int64_t memory_bytes = 0;  // of the packet in sealed memory; 0: the message holds it
  Orientation orientation = {};
  std::vector<Frame> frames = {};
};
Bytes Encode(const GpuCall& call);
// The packet's data is a view of `bytes`.
Result<GpuCall> DecodeGpuCall(ByteView bytes);

struct GpuPicture {
  int place = 0;
  bool damaged = false;
  int refused = 0;       // as NvdecStream::refused() when the picture was received
  std::uint32_t id = 0;  // 0: without a frame
  int width = 0;
  int height = 0;
  AVPixelFormat layout = AV_PIX_FMT_NONE;
};

struct GpuAnswer {
  Status status;
  std::string text = {};
  double seconds = 0;
  int decoders = 0;
  DecodePath path = DecodePath::kSoftware;
  bool hardware_was_busy = false;
  bool part = false;
  std::uint32_t clip = 0;
  // Progress: all pictures that the stream had after the packet.
  int refused_at_once = 0;  // as NvdecStream::refused() before the first picture was received
  int refused = 0;          // after the last
  bool gave_up = false;
  std::string reason = {};
  std::vector<GpuPicture> pictures = {};
};
Bytes Encode(const GpuAnswer& answer);
Result<GpuAnswer> DecodeGpuAnswer(ByteView bytes);

}  // namespace cosmos
