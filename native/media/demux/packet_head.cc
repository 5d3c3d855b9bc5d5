#include "media/demux/packet_head.h"

namespace cosmos {

PacketHead ReadHead(PictureParser& parser, const AVPacket& packet) {
  PacketHead head{.keyframe = (packet.flags & AV_PKT_FLAG_KEY) != 0};
  const AVCodecParserContext* parsed = parser.Parse(packet);
  if (!parsed) return head;
  if (parsed->picture_structure == AV_PICTURE_STRUCTURE_TOP_FIELD) head.structure = Structure::kTopField;
  if (parsed->picture_structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD)
    head.structure = Structure::kBottomField;
  return head;
}

bool ArePair(const PacketHead& first, const PacketHead& second) {
  return first.structure != Structure::kFrame && second.structure != Structure::kFrame &&
         first.structure != second.structure && (first.keyframe || !second.keyframe);
}

}  // namespace cosmos
