// What a packet's own bits say about the picture in it. Containers say some of it too, in flags that muxers
// set as they please: those are hints.
#pragma once

#include <cstdint>
#include <span>

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/h264_headers.h"

namespace cosmos {

struct AccessUnit {
  // False: parameter sets, delimiters, messages, filler or a picture that was "not coded", and no frame.
  bool has_picture = true;
  // What is said here was read, and is not the container's word.
  bool read = true;
  // Its only picture is never shown: VP8 and VP9 store pictures that others refer to this way.
  bool hidden = false;
  // Decoding can begin here: pictures that follow it, both decoded and shown, are whole.
  bool random_access = false;
  // Whole, but no more is promised: pictures that follow may refer to some before it. H.264 without an IDR
  // picture or a recovery point: some muxers mark such a picture as a keyframe, and are right.
  bool intra = false;
  // Pictures that follow it and are shown before it are whole as well.
  bool closed = false;
  // Numbers that say the order of presentation begin anew.
  bool restarts_order = false;
  // They do so behind it: whatever number it has, it is the first. H.264's memory management.
  bool resets_order = false;
  // Pictures that follow it and are shown before it are not shown, wherever in the stream it stands.
  bool drops_leading = false;
  // One of those, if the unit that drops them is the last that is no such picture. HEVC.
  bool skipped_leading = false;
};

class AccessUnitReader {
 public:
  explicit AccessUnitReader(const AVCodecParameters& parameters);

  // Reads no more of the packet than it takes, and nothing beyond its first `known` bytes. Of a codec that it
  // does not know, or where those bytes do not say, a packet is what the container says: a picture, and a
  // random access point where it is flagged.
  AccessUnit Read(const AVPacket& packet, std::int64_t known);
  AccessUnit Read(const AVPacket& packet) { return Read(packet, packet.size); }

  // How many slices of H.264, HEVC and VC-1, or pictures of AV1, are in the packet: so often it can make a
  // decoder walk over a whole picture, however few bytes it has. 1 for codecs where it cannot.
  std::int64_t CountSlices(const AVPacket& packet);

 private:
  using Bytes = std::span<const std::uint8_t>;

  void Configure(Bytes extradata);
  AccessUnit ReadBytes(Bytes packet);
  AccessUnit ReadH264(Bytes packet);
  AccessUnit ReadHevc(Bytes packet);
  AccessUnit ReadMpeg4(Bytes packet);

  AVCodecID codec_;
  H264Headers h264_;
  int length_bytes_ = 0;         // of the length before each NAL unit; 0: start codes
  int time_bits_ = 0;            // of an MPEG-4 picture's time; 0: not known yet
  bool sequence_ended_ = false;  // the HEVC picture that comes next begins a new one
};

}  // namespace cosmos
