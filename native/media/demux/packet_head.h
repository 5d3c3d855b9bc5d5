// What the parser of a packet tells about its picture, to join the two fields of one.
#pragma once

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/picture_parser.h"

namespace cosmos {

enum class Structure { kFrame, kTopField, kBottomField };

struct PacketHead {
  Structure structure = Structure::kFrame;
  bool keyframe = false;
};

PacketHead ReadHead(PictureParser& parser, const AVPacket& packet);
// Whether two consecutive fields form one picture. A keyframe always begins a picture, which resynchronises
// the pairing where a field was lost.
bool ArePair(const PacketHead& first, const PacketHead& second);

}  // namespace cosmos
