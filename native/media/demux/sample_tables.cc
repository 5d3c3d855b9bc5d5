#include "media/demux/sample_tables.h"

#include <algorithm>
#include <limits>

namespace cosmos {
namespace {

constexpr int kFirstSamples = 48;
constexpr int kMaxPairs = 8;
// Leaves room for the parameter sets and messages before a picture's first slice.
constexpr std::int64_t kBeginning = 1024;
constexpr std::int64_t kSmall = 256;

}  // namespace

bool TablesMaySuffice(const Demuxer& demuxer) {
  if (!demuxer.packets_are_samples()) return false;
  switch (demuxer.parameters().codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_MJPEG: return true;
    default: return false;
  }
}

std::vector<ByteRange> RangesToSkip(const AVStream& stream) {
  auto* entries_of = const_cast<AVStream*>(&stream);
  const int count = avformat_index_get_entries_count(entries_of);
  std::vector<ByteRange> ranges;
  ranges.reserve(count);
  bool after_keyframe = false;
  int pairs = 0;
  for (int i = 0; i < count; ++i) {
    const AVIndexEntry* entry = avformat_index_get_entry(entries_of, i);
    const bool keyframe = (entry->flags & AVINDEX_KEYFRAME) != 0;
    const bool pair = keyframe && after_keyframe && ++pairs <= kMaxPairs;
    after_keyframe = keyframe;
    // Sizes in a table can be negative, and positions arbitrary.
    if (entry->size <= kSmall) continue;
    if (entry->pos < 0 || entry->pos > std::numeric_limits<std::int64_t>::max() - entry->size) continue;
    const std::int64_t read = i < kFirstSamples || pair ? kBeginning : 0;
    if (entry->size > read) ranges.push_back({entry->pos + read, entry->pos + entry->size});
  }
  std::ranges::sort(ranges, {}, &ByteRange::begin);
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    if (!merged.empty() && range.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace cosmos
