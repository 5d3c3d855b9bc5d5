#include "media/scan/head_decode.h"

#include <algorithm>
#include <utility>

#include "media/decode/software_decoder.h"

namespace cosmos {
namespace {

// A decoder holds back fewer pictures than this.
constexpr int kMaxDelay = 33;
// After this many pictures in a row that are shown, all are.
constexpr int kShownInARow = 16;
constexpr int kMaxPackets = 600;

class HeadDecoder {
 public:
  HeadDecoder(const FrameIndex& index, SoftwareDecoder& decoder, int uncertain)
      : index_(index), decoder_(decoder), uncertain_(uncertain) {}

  // Sends packets until all that follow are known to be shown.
  Result<std::vector<bool>> Run(Demuxer& demuxer) {
    const ff::Packet packet(av_packet_alloc());
    if (!packet) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
    while (!Settled() && sent() < std::max(kMaxPackets, uncertain_ + kMaxDelay + 1)) {
      COSMOS_ASSIGN_OR_RETURN(auto read, demuxer.Read(*packet));
      if (!read) {
        COSMOS_RETURN_IF_ERROR(decoder_.Drain());
        COSMOS_RETURN_IF_ERROR(Receive());
        return std::move(shown_);
      }
      shown_.push_back(false);
      COSMOS_RETURN_IF_ERROR(decoder_.Send(*packet, sent() - 1, /*wanted=*/true));
      COSMOS_RETURN_IF_ERROR(Receive());
    }
    shown_.resize(std::max(sent() - kMaxDelay, 0));
    return std::move(shown_);
  }

 private:
  int sent() const { return static_cast<int>(shown_.size()); }

  Status Receive() {
    for (;;) {
      COSMOS_ASSIGN_OR_RETURN(auto received, decoder_.Receive());
      if (!received) return {};
      const int place = received->place;
      if (place >= 0 && place < sent()) shown_[place] = true;
    }
  }

  bool Settled() const {
    const int end = sent() - kMaxDelay;
    if (end < uncertain_ + kShownInARow) return false;
    for (int place = end - kShownInARow; place < end; ++place) {
      const bool expected = place >= index_.packet_count() || index_.packet(place).shown;
      if (expected && !shown_[place]) return false;
    }
    return true;
  }

  const FrameIndex& index_;
  SoftwareDecoder& decoder_;
  const int uncertain_;
  std::vector<bool> shown_;
};

}  // namespace

Result<std::vector<bool>> FindShownInHead(Demuxer& demuxer, const FrameIndex& index, int uncertain,
                                          const DecodeLimits& limits) {
  COSMOS_RETURN_IF_ERROR(demuxer.Rewind());
  COSMOS_ASSIGN_OR_RETURN(
      auto decoder, SoftwareDecoder::Open(demuxer.parameters(), {.threads = 1,
                                                                 .reorder_depth = index.reorder_depth(),
                                                                 .withhold_incomplete = true,
                                                                 .time_base = demuxer.stream().time_base,
                                                                 .limits = limits,
                                                                 .guard = &demuxer.guard()}));
  return HeadDecoder(index, *decoder, uncertain).Run(demuxer);
}

}  // namespace cosmos
