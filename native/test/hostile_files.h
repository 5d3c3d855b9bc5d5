// Small files that ask for much: what a stranger may send.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cosmos::test {

using Bytes = std::string;

Bytes Big(std::uint64_t value, int bytes);
Bytes Little(std::uint64_t value, int bytes);

// An MP4 box, and one with a version and flags.
Bytes Box(std::string_view type, const Bytes& content);
Bytes FullBox(std::string_view type, const Bytes& content, std::uint32_t flags = 0, int version = 0);

// What a track's sample table holds, each as it should be for `samples` samples of one byte.
struct SampleTable {
  Bytes times;
  Bytes chunks;
  Bytes sizes;
  Bytes offsets;
  Bytes more = {};
  Bytes edits = {};
  Bytes Join() const { return times + chunks + sizes + offsets + more; }
};
SampleTable PlainTable(std::uint32_t samples);
// An H.264 track; `number` from 1 on.
Bytes Mp4Track(const SampleTable& table, int number = 1);
Bytes Mp4File(const Bytes& tracks, const Bytes& after_tracks = {}, const Bytes& tail = {});
// One with fragments: `run` is what a trun says after its version and flags.
Bytes FragmentedMp4(const Bytes& run, std::uint32_t run_flags, int tracks = 1);

Bytes Ebml(std::uint32_t id, const Bytes& content);
// A Matroska file of one VP8 track, with `more` before its cluster; `tracks` instead of that track.
Bytes MatroskaFile(const Bytes& more, const Bytes& tracks = {});

Bytes PngChunk(std::string_view type, const Bytes& content);
// 8 x 8 pixels.
Bytes PngFile(const Bytes& before_pixels);
// A zlib stream of `bytes` equal letters.
Bytes Deflated(std::uint64_t bytes);

Bytes JpegSegment(int marker, const Bytes& content);
// A progressive JPEG of `scans` scans in which nothing changes.
Bytes JpegFile(int width, int height, int scans, const Bytes& before_frame = {});
// EXIF whose every entry leads to the same entries again.
Bytes HostileExif();

Bytes AviFile(const std::vector<Bytes>& jpegs, int width, int height, const Bytes& info = {});
Bytes FlvFile(const Bytes& metadata);
// An H.264 transport stream of `streams` streams, with pictures of so many macroblocks in each direction.
Bytes TransportStream(int streams, int macroblocks);

}  // namespace cosmos::test
