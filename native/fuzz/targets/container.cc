// What is checked and read of a container before anything is decoded: its tables, its encryption, the packets
// that are probed, and all packets of the stream.
#include <memory>
#include <utility>
#include <vector>

#include "fuzz/target.h"
#include "media/demux/byte_scanner.h"
#include "media/demux/container_check.h"
#include "media/demux/demuxer.h"
#include "media/demux/encryption.h"
#include "media/demux/picture_format.h"
#include "media/demux/sample_tables.h"
#include "media/demux/source.h"

namespace cosmos::fuzz {
namespace {

constexpr int kMaxPackets = 400;

// Every check reads any bytes, whatever the format is.
void CheckTables(Bytes input, const DecodeLimits& limits, const JobGuard& guard) {
  auto source = Source::Open(MediaBytes{input, nullptr}, guard);
  if (!source.ok()) return RequireTyped(source.status());
  ByteScanner bytes(*source.value());
  for (const auto check : {CheckMp4, CheckMatroska, CheckAvi, CheckFlv, CheckAsf, CheckOgg}) {
    TableBudget budget(limits);
    RequireTyped(check(bytes, budget));
  }
  HasOnlyEncryptedVideo(*source.value());
}

void CheckRanges(const std::vector<ByteRange>& ranges) {
  std::int64_t end = 0;
  for (const ByteRange& range : ranges) {
    Require(range.begin < range.end && (end == 0 || range.begin > end),
            "ranges that overlap or are not sorted");
    end = range.end;
  }
}

Status ReadPackets(Demuxer& demuxer, AVPacket& packet, std::vector<std::int64_t>& times) {
  for (int i = 0; i < kMaxPackets; ++i) {
    COSMOS_ASSIGN_OR_RETURN(const bool more, demuxer.Read(packet));
    if (!more) break;
    Require(packet.size > 0, "an empty packet");
    times.push_back(packet.dts);
  }
  return {};
}

Status ReadContainer(Bytes input, const DecodeLimits& limits, const JobGuard& guard) {
  COSMOS_ASSIGN_OR_RETURN(auto demuxer, Demuxer::Open(MediaBytes{input, nullptr}, limits, guard));
  PictureFormatOf(demuxer->parameters());
  if (demuxer->has_sample_tables()) {
    auto ranges = RangesToSkip(demuxer->stream());
    CheckRanges(ranges);
    demuxer->source().SkipRanges(std::move(ranges));
  }
  const ff::Packet packet(av_packet_alloc());
  std::vector<std::int64_t> times;
  COSMOS_RETURN_IF_ERROR(ReadPackets(*demuxer, *packet, times));
  demuxer->source().SkipRanges({});
  if (!times.empty()) demuxer->Seek(times[times.size() / 2]);
  COSMOS_RETURN_IF_ERROR(ReadPackets(*demuxer, *packet, times));
  COSMOS_RETURN_IF_ERROR(demuxer->Rewind());
  return ReadPackets(*demuxer, *packet, times);
}

}  // namespace

void FuzzOne(Bytes input) {
  const DecodeLimits limits = SmallLimits();
  JobGuard guard(limits.max_wall_seconds, limits.max_bytes);
  const JobGuard::Call call(guard, std::make_shared<CancelToken>());
  CheckTables(input, limits, guard);
  RequireTyped(ReadContainer(input, limits, guard));
}

}  // namespace cosmos::fuzz
