#include "media/demux/theora_times.h"

#include <cstdint>
#include <span>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

TheoraTimes::TheoraTimes(const AVCodecParameters& parameters) {
  constexpr std::size_t kLength = 2;  // bytes of the length before the first header
  // Offset of the quality (6 bits) in the header, which KFGSHIFT (5 bits) follows.
  constexpr std::size_t kQuality = 40;
  const std::span extradata(parameters.extradata, static_cast<std::size_t>(parameters.extradata_size));
  if (extradata.size() < kLength + kQuality + 2) return;
  BitReader bits(extradata.subspan(kLength + kQuality));
  bits.Skip(6);
  bits_ = 64 - static_cast<int>(bits.Bits(5));
}

void TheoraTimes::Correct(AVPacket& packet) const {
  constexpr int kMaxBits = 62;  // larger numbers are no times
  if (bits_ > kMaxBits) return;
  const std::int64_t turn = std::int64_t{1} << bits_;
  for (std::int64_t* time : {&packet.pts, &packet.dts}) {
    if (*time != AV_NOPTS_VALUE && *time >= turn / 2 && *time < turn + turn / 2) *time -= turn;
  }
}

}  // namespace cosmos
