// What NVDEC gets of a video, as plain data. It is made where the file is read, and the decoder needs no
// more: so the two may be in different processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "cuda/abi.h"
#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/vp9_header.h"
#include "media/decode/decoder.h"
#include "media/demux/picture_format.h"

namespace cosmos {

// Of CodedStream::headers. Parameter sets take some hundred bytes.
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 20;

// A stream, as its container and its headers describe it.
struct CodedStream {
  AVCodecID codec = AV_CODEC_ID_NONE;
  PictureFormat format;  // what the container leaves open is taken for the most common one
  int width = 0;         // as displayed; 0: not known
  int height = 0;
  // Where the stream states none.
  AVColorSpace color_space = AVCOL_SPC_UNSPECIFIED;
  AVColorRange color_range = AVCOL_RANGE_UNSPECIFIED;
  bool can_skip = false;  // pictures that no other refers to can be told from the rest
  // Sent before the first packet. Empty when the packets carry them.
  std::vector<std::uint8_t> headers = {};
};

// A packet in the form that NVDEC's parser reads, or a part of one.
struct CodedPacket {
  int place = 0;            // rises from packet to packet; parts of one have the same
  int order = 0;            // in presentation order
  bool has_picture = true;  // as in IndexedPacket
  bool shown = true;
  bool wanted = false;
  bool hidden = false;                   // cut by an edit list
  bool damaged = false;                  // it could not be converted
  std::span<const std::uint8_t> data{};  // may be empty
  std::size_t second_field = 0;  // where the second field begins; the size of the data when there is none
  std::optional<VpxColour> vpx_colour{};  // where the packet states them
};

// Decodes one stream with NVDEC. As HardwareDecoder, of which it is the half that knows no files.
class NvdecStream {
 public:
  virtual ~NvdecStream() = default;

  virtual Status Send(const CodedPacket& packet) = 0;
  virtual Status Drain() = 0;
  virtual Result<std::optional<Picture>> Receive() = 0;
  virtual void Reset() = 0;
  virtual void Release() = 0;
  virtual int refused() const = 0;
  virtual bool gave_up() const = 0;
  virtual const std::string& reason() const = 0;
  virtual CUstream stream() const = 0;
};

}  // namespace cosmos
