// Builds small files that demand a lot of memory or time, as an attacker may send them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cosmos::test {

using Bytes = std::string;

Bytes Big(std::uint64_t value, int bytes);
Bytes Little(std::uint64_t value, int bytes);

// An MP4 box without and with a version and flags.
Bytes Box(std::string_view type, const Bytes& content);
Bytes FullBox(std::string_view type, const Bytes& content, std::uint32_t flags = 0, int version = 0);

// The boxes of a track's sample table, each valid for `samples` samples of one byte.
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
// An H.264 track; `number` counts from 1.
Bytes Mp4Track(const SampleTable& table, int number = 1);
Bytes Mp4File(const Bytes& tracks, const Bytes& after_tracks = {}, const Bytes& tail = {});
// A fragmented file; `run` is the content of a trun after its version and flags.
Bytes FragmentedMp4(const Bytes& run, std::uint32_t run_flags, int tracks = 1);

Bytes Ebml(std::uint32_t id, const Bytes& content);
// A Matroska file of one VP8 track, with `more` before its cluster; `tracks` replaces the track.
Bytes MatroskaFile(const Bytes& more, const Bytes& tracks = {});

Bytes PngChunk(std::string_view type, const Bytes& content);
// 8 x 8 pixels.
Bytes PngFile(const Bytes& before_pixels);
// A zlib stream of `bytes` equal bytes.
Bytes Deflated(std::uint64_t bytes);

// A lossless WebP with `groups` groups of Huffman codes, a kilobyte of tables for 3 bytes of the file.
Bytes WebpFile(int width, int height, int groups);

Bytes JpegSegment(int marker, const Bytes& content);
// A progressive JPEG of `scans` scans that change nothing.
Bytes JpegFile(int width, int height, int scans, const Bytes& before_frame = {});
// EXIF data in which every entry leads back to the same entries.
Bytes HostileExif();

Bytes AviFile(const std::vector<Bytes>& jpegs, int width, int height, const Bytes& info = {});
Bytes FlvFile(const Bytes& metadata);
// A transport stream of `streams` H.264 streams, with pictures of the given size in macroblocks.
Bytes TransportStream(int streams, int macroblocks);

}  // namespace cosmos::test
