// Finds where packets are missing from a stream whose pictures do not name their references. libavcodec then
// predicts from whatever picture it has, and says nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/mpeg4_headers.h"

namespace cosmos {

// What it goes by:
//   MPEG-1, MPEG-2  temporal_reference counts the pictures of a group in presentation order.
//   MPEG-4          a B picture is shown between the two pictures that it refers to. Where the header
//                   fixes the picture rate, as Xvid's does, the pictures can be counted as well.
//   MPEG-TS         continuity counters of the packets, for every codec.
// A missing B picture is not a loss: nothing refers to it. H.264 and HEVC need ReferenceCheck instead.
class LossCheck {
 public:
  // `has_counters`: the stream comes from an MPEG-TS.
  LossCheck(const AVCodecParameters& parameters, bool has_counters);

  // Takes packets in decoding order.
  void Add(const AVPacket& packet);
  // The places of pictures whose reference is missing, ascending; in an open GOP also of a B picture whose
  // reference is. Known for all but the last few pictures added. Empty when the numbers are implausible.
  std::vector<int> Losses() const;
  // Forgets the first `count` packets.
  void Forget(int count);

 private:
  // A picture that others refer to, and its number in presentation order.
  struct Reference {
    int place = 0;
    std::int64_t number = 0;
    bool predicted = false;
  };
  struct Gap {
    int place = 0;              // of the picture after it
    std::int64_t distance = 0;  // from its reference
  };

  void AddMpeg2(std::span<const std::uint8_t> packet);
  void AddMpeg4(std::span<const std::uint8_t> packet);
  void AddReference(Reference reference, bool follows);
  void AddBidirectional(std::int64_t number);
  std::int64_t Distance() const;
  std::optional<Gap> FindGap() const;

  AVCodecID codec_;
  bool has_counters_;
  int place_ = 0;
  int last_corrupt_ = -3;
  std::vector<int> after_corrupt_;
  std::vector<int> misplaced_;  // places of pictures that do not fit their references
  std::vector<Gap> gaps_;
  int inter_pictures_ = 0;
  bool has_bidirectional_ = false;
  std::int64_t least_distance_ = 0;  // of references with all B pictures between them
  std::int64_t most_distance_ = 0;
  std::optional<Reference> reference_;          // the last one
  std::optional<Reference> earlier_reference_;  // the one before it, when they are numbered alike
  std::int64_t between_ = 0;                    // B pictures since the last reference
  Mpeg4Layer layer_;
  std::int64_t second_ = 0;          // MPEG-4: the one that the last reference is in
  std::int64_t earlier_second_ = 0;  // and the reference before it
};

}  // namespace cosmos
