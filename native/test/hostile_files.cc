#include "hostile_files.h"

#include <algorithm>
#include <array>

#include "hostile_packets.h"

namespace cosmos::test {
namespace {

using namespace std::literals;

Bytes Repeat(std::uint64_t count, const Bytes& what) {
  Bytes bytes;
  bytes.reserve(count * what.size());
  for (std::uint64_t i = 0; i < count; ++i) bytes += what;
  return bytes;
}

Bytes Zeros(std::size_t count) { return Bytes(count, '\0'); }

Bytes VisualSample() {
  return Box("avc1", Zeros(6) + Big(1, 2) + Zeros(16) + Big(64, 2) + Big(64, 2) + Big(0x480000, 4) +
                         Big(0x480000, 4) + Zeros(4) + Big(1, 2) + Zeros(32) + Big(24, 2) + "\xff\xff"s +
                         Box("avcC", H264Configuration(H264Sps(4, 4))));
}

Bytes Matrix() { return Big(0x10000, 4) + Zeros(12) + Big(0x10000, 4) + Zeros(12) + Big(0x40000000, 4); }

Bytes MovieHeader() {
  return FullBox("mvhd", Zeros(8) + Big(1000, 4) + Big(1000, 4) + Big(0x10000, 4) + Big(0x100, 2) +
                             Zeros(10) + Matrix() + Zeros(24) + Big(2, 4));
}

Bytes FileType() { return Box("ftyp", "isom\0\0\2\0isomiso2avc1mp41"s); }

Bytes Chunk(std::string_view type, const Bytes& content) {
  return Bytes(type) + Little(content.size(), 4) + content + Zeros(content.size() & 1);
}

std::uint32_t Crc(const Bytes& data) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : data) {
    crc ^= static_cast<std::uint32_t>(static_cast<std::uint8_t>(byte)) << 24;
    for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
  }
  return crc;
}

constexpr std::size_t kTsPayload = 184;

Bytes TsPacket(int pid, bool start, int counter, Bytes payload) {
  const std::size_t stuffing = kTsPayload - payload.size();
  Bytes head = "\x47"s + Big(static_cast<std::uint64_t>((start ? 0x4000 : 0) | pid), 2) +
               static_cast<char>((stuffing > 0 ? 0x30 : 0x10) | (counter & 15));
  if (stuffing > 0) head += static_cast<char>(stuffing - 1);
  if (stuffing > 1) head += Zeros(1) + Bytes(stuffing - 2, '\xff');
  return head + payload;
}

Bytes Section(int pid, const Bytes& table) {
  Bytes payload = Zeros(1) + table + Big(Crc(table), 4);
  payload.resize(kTsPayload, '\xff');
  return TsPacket(pid, true, 0, payload);
}

Bytes Pes(int pid, const Bytes& data) {
  const Bytes pes = "\0\0\1\xe0\0\0\x80\x80\5\x21\0\5\xbf\x21"s + data;
  Bytes packets;
  int counter = 0;
  for (std::size_t at = 0; at < pes.size(); at += kTsPayload) {
    packets += TsPacket(pid, at == 0, counter++, pes.substr(at, kTsPayload));
  }
  return packets;
}

}  // namespace

Bytes Big(std::uint64_t value, int bytes) {
  Bytes out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> 8 * i);
  return out;
}

Bytes Little(std::uint64_t value, int bytes) {
  Bytes out = Big(value, bytes);
  std::ranges::reverse(out);
  return out;
}

Bytes Box(std::string_view type, const Bytes& content) {
  return Big(8 + content.size(), 4) + Bytes(type) + content;
}

Bytes FullBox(std::string_view type, const Bytes& content, std::uint32_t flags, int version) {
  return Box(type, Big(static_cast<std::uint64_t>(version), 1) + Big(flags, 3) + content);
}

SampleTable PlainTable(std::uint32_t samples) {
  return {.times = FullBox("stts", Big(1, 4) + Big(samples, 4) + Big(1, 4)),
          .chunks = FullBox("stsc", Big(1, 4) + Big(1, 4) + Big(samples, 4) + Big(1, 4)),
          .sizes = FullBox("stsz", Big(1, 4) + Big(samples, 4)),
          .offsets = FullBox("stco", Big(1, 4) + Big(40, 4))};
}

Bytes Mp4Track(const SampleTable& table, int number) {
  const Bytes header = FullBox("tkhd",
                               Zeros(8) + Big(static_cast<std::uint64_t>(number), 4) + Zeros(4) +
                                   Big(1000, 4) + Zeros(16) + Matrix() + Big(64 << 16, 4) + Big(64 << 16, 4),
                               3);
  const Bytes media_header = FullBox("mdhd", Zeros(8) + Big(1000, 4) + Big(1000, 4) + Big(0x55c40000, 4));
  const Bytes handler = FullBox("hdlr", Zeros(4) + "vide"s + Zeros(12) + "v\0"s);
  const Bytes description = FullBox("stsd", Big(1, 4) + VisualSample());
  const Bytes where = Box("dinf", FullBox("dref", Big(1, 4) + FullBox("url ", {}, 1)));
  const Bytes tables = Box("stbl", description + table.Join());
  const Bytes info = Box("minf", FullBox("vmhd", Zeros(8), 1) + where + tables);
  return Box("trak", header + table.edits + Box("mdia", media_header + handler + info));
}

Bytes Mp4File(const Bytes& tracks, const Bytes& after_tracks, const Bytes& tail) {
  return FileType() + Box("moov", MovieHeader() + tracks + after_tracks) + tail + Box("mdat", Zeros(64));
}

Bytes FragmentedMp4(const Bytes& run, std::uint32_t run_flags, int tracks) {
  const SampleTable none = {.times = FullBox("stts", Zeros(4)),
                            .chunks = FullBox("stsc", Zeros(4)),
                            .sizes = FullBox("stsz", Zeros(8)),
                            .offsets = FullBox("stco", Zeros(4))};
  Bytes track_boxes;
  Bytes defaults;
  Bytes fragments;
  for (int number = 1; number <= tracks; ++number) {
    const Bytes id = Big(static_cast<std::uint64_t>(number), 4);
    track_boxes += Mp4Track(none, number);
    defaults += FullBox("trex", id + Big(1, 4) + Big(1, 4) + Big(1, 4) + Zeros(4));
    fragments += Box("traf", FullBox("tfhd", id, 0x020000) + FullBox("trun", run, run_flags));
  }
  return Mp4File(track_boxes, Box("mvex", defaults), Box("moof", FullBox("mfhd", Big(1, 4)) + fragments));
}

Bytes Ebml(std::uint32_t id, const Bytes& content) {
  int bytes = 1;
  while (bytes < 4 && id >> 8 * bytes) ++bytes;
  return Big(id, bytes) +
         (content.size() < 127 ? Big(0x80 | content.size(), 1)
                               : Big(std::uint64_t{1} << 56 | content.size(), 8)) +
         content;
}

Bytes MatroskaFile(const Bytes& more, const Bytes& tracks) {
  const Bytes head = Ebml(0x1a45dfa3, Ebml(0x4282, "matroska") + Ebml(0x4287, "\4") + Ebml(0x4285, "\2"));
  const Bytes info = Ebml(0x1549a966, Ebml(0x2ad7b1, "\x0f\x42\x40"));
  const Bytes video = Ebml(0xe0, Ebml(0xb0, "\x40") + Ebml(0xba, "\x40"));
  const Bytes track =
      Ebml(0xae, Ebml(0xd7, "\1") + Ebml(0x73c5, "\1") + Ebml(0x83, "\1") + Ebml(0x86, "V_VP8") + video);
  const Bytes block = "\x81\0\0\x80\x10\2\0\x9d\1\x2a\x40\0\x40\0"s + Zeros(60);
  const Bytes cluster = Ebml(0x1f43b675, Ebml(0xe7, Zeros(1)) + Ebml(0xa3, block));
  return head + Ebml(0x18538067, info + Ebml(0x1654ae6b, tracks.empty() ? track : tracks) + more + cluster);
}

Bytes PngChunk(std::string_view type, const Bytes& content) {
  return Big(content.size(), 4) + Bytes(type) + content + Zeros(4);  // decoders ignore the checksum
}

Bytes PngFile(const Bytes& before_pixels) {
  // A zlib stream of one stored block: 8 rows of 8 grey pixels, each after its filter byte.
  Bytes rows;
  for (int row = 0; row < 8; ++row) rows += Zeros(1) + Bytes(8, '\x80');
  const Bytes stored = "\x78\x01\x01"s + Little(rows.size(), 2) + Little(~rows.size() & 0xffff, 2) + rows;
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char byte : rows) {
    a = (a + static_cast<std::uint8_t>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  return "\x89PNG\r\n\x1a\n"s + PngChunk("IHDR", Big(8, 4) + Big(8, 4) + "\x08\0\0\0\0"s) + before_pixels +
         PngChunk("IDAT", stored + Big(b << 16 | a, 4)) + PngChunk("IEND", {});
}

Bytes Deflated(std::uint64_t bytes) {
  // Fixed codes: one literal, then matches of length 258 and distance 1, 13 bits each.
  std::vector<bool> bits = {true, true, false};
  const auto code = [&](int length, std::uint32_t value) {
    for (int bit = length - 1; bit >= 0; --bit) bits.push_back((value >> bit & 1) != 0);
  };
  code(8, 0x30 + 'a');
  for (std::uint64_t done = 1; done < bytes; done += 258) {
    code(8, 0xc5);
    code(5, 0);
  }
  code(7, 0);
  Bytes out = "\x78\x01"s;
  for (std::size_t at = 0; at < bits.size(); at += 8) {
    int byte = 0;
    for (std::size_t bit = 0; bit < 8 && at + bit < bits.size(); ++bit)
      byte |= (bits[at + bit] ? 1 : 0) << bit;
    out += static_cast<char>(byte);
  }
  return out + Zeros(4);
}

Bytes WebpFile(int width, int height, int groups) {
  Bytes data = "\x2f"s;
  unsigned pending = 0;
  int used = 0;
  // Least significant bit first.
  const auto put = [&](unsigned value, int bits) {
    for (int bit = 0; bit < bits; ++bit) {
      pending |= (value >> bit & 1) << used;
      if (++used < 8) continue;
      data += static_cast<char>(pending);
      pending = 0;
      used = 0;
    }
  };
  put(static_cast<unsigned>(width - 1), 14);
  put(static_cast<unsigned>(height - 1), 14);
  put(0, 4);  // alpha, version
  put(0, 2);  // no transforms, no colour cache
  put(1, 1);  // groups, for blocks of 4 x 4 pixels
  put(0, 3);
  put(0, 1);
  // The image of groups: each of its codes has one symbol, so its pixels take no bits.
  const auto last = static_cast<unsigned>(groups - 1);
  for (const unsigned symbol : {last & 255, last >> 8, 0U, 0U, 0U}) {
    put(0b101, 3);
    put(symbol, 8);
  }
  constexpr int kCodes = 5;
  for (int code = 0; code < groups * kCodes; ++code) {
    put(0, 5);         // not simple, four code lengths
    put(1 << 9, 12);   // of which only the one for "length 1" is used
    put(0b000001, 6);  // two symbols
  }
  for (int pixel = 0; pixel < width * height; ++pixel) put(0, 4);
  put(0, 7);
  return "RIFF"s + Little(12 + data.size() + (data.size() & 1), 4) + "WEBP" + Chunk("VP8L", data);
}

Bytes JpegSegment(int marker, const Bytes& content) {
  return "\xff"s + static_cast<char>(marker) + Big(content.size() + 2, 2) + content;
}

Bytes JpegFile(int width, int height, int scans, const Bytes& before_frame) {
  const int blocks = ((width + 7) / 8) * ((height + 7) / 8);
  // One code each: a DC difference of zero, and an end-of-band run of at least 2^14 blocks.
  const Bytes one_code = "\1"s + Zeros(15);
  const Bytes file = "\xff\xd8"s + JpegSegment(0xdb, Zeros(1) + Bytes(64, '\1')) + before_frame +
                     JpegSegment(0xc2, "\x08"s + Big(height, 2) + Big(width, 2) + "\1\1\x11\0"s) +
                     JpegSegment(0xc4, Zeros(1) + one_code + Zeros(1)) +
                     JpegSegment(0xc4, "\x10"s + one_code + "\xe0"s) + JpegSegment(0xda, "\1\1\0\0\0\0"s) +
                     Zeros(static_cast<std::size_t>(blocks / 8 + 1));
  const Bytes scan =
      JpegSegment(0xda, "\1\1\0\1\x3f\0"s) + Zeros(static_cast<std::size_t>(2 * (blocks / 16384 + 1)));
  return file + Repeat(static_cast<std::uint64_t>(scans), scan) + "\xff\xd9"s;
}

Bytes HostileExif() {
  constexpr int kEntries = 5000;
  Bytes entries = Little(kEntries, 2);
  for (int i = 0; i < kEntries; ++i)
    entries += Little(0x8769, 2) + Little(4, 2) + Little(1, 4) + Little(8, 4);
  return JpegSegment(0xe1, "Exif\0\0II*\0\x08\0\0\0"s + entries);
}

Bytes AviFile(const std::vector<Bytes>& jpegs, int width, int height, const Bytes& info) {
  const auto n = static_cast<std::uint64_t>(jpegs.size());
  const auto w = static_cast<std::uint64_t>(width);
  const auto h = static_cast<std::uint64_t>(height);
  const Bytes avih = Little(100000, 4) + Zeros(8) + Little(0x10, 4) + Little(n, 4) + Zeros(4) + Little(1, 4) +
                     Zeros(4) + Little(w, 4) + Little(h, 4) + Zeros(16);
  const Bytes strh =
      "vidsMJPG"s + Zeros(12) + Little(1, 4) + Little(10, 4) + Zeros(4) + Little(n, 4) + Zeros(20);
  const Bytes strf =
      Little(40, 4) + Little(w, 4) + Little(h, 4) + Little(1, 2) + Little(24, 2) + "MJPG"s + Zeros(20);
  Bytes movie = "movi";
  for (const Bytes& jpeg : jpegs) movie += Chunk("00dc", jpeg);
  const Bytes stream = Chunk("LIST", "strl"s + Chunk("strh", strh) + Chunk("strf", strf));
  return Chunk("RIFF",
               "AVI "s + Chunk("LIST", "hdrl"s + Chunk("avih", avih) + stream) + info + Chunk("LIST", movie));
}

Bytes FlvFile(const Bytes& metadata) {
  const Bytes script = "\2\0\nonMetaData"s + metadata;
  return "FLV\1\1\0\0\0\x09\0\0\0\0"s + "\x12"s + Big(script.size(), 3) + Zeros(7) + script +
         Big(script.size() + 11, 4) + Zeros(256);
}

Bytes TransportStream(int streams, int macroblocks) {
  constexpr int kFirst = 0x200;
  constexpr int kPictures = 100;
  Bytes program = Section(0, "\0\xb0\x0d\0\1\xc1\0\0\0\1\xe1\0"s);
  for (int base = 0; base < streams; base += 30) {
    Bytes entries;
    for (int i = base; i < std::min(streams, base + 30); ++i) {
      entries += "\x1b"s + Big(static_cast<std::uint64_t>(0xe000 | (kFirst + i)), 2) + "\xf0\0"s;
    }
    program += Section(
        0x100, "\2"s + Big(0xb000 | (13 + entries.size()), 2) + "\0\1\xc1\0\0\xe2\0\xf0\0"s + entries);
  }
  const Bytes unit =
      WithStartCodes({"\x09\xf0"s, H264Sps(macroblocks, macroblocks), H264Pps(), H264DamagedIntra()});
  for (int picture = 0; picture < kPictures; ++picture) {
    for (int i = 0; i < streams; ++i) program += Pes(kFirst + i, unit);
  }
  return program;
}

}  // namespace cosmos::test
