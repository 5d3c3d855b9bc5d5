// Writes small files whose structure encoders do not produce, for the seed corpus: the tests' own containers
// and pictures, and the messages between the server's process and a decoder process.
//
//   fuzz_seeds FOLDER video|picture|messages
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/message_seeds.h"
#include "test/hostile_files.h"
#include "test/hostile_packets.h"

namespace {

using namespace cosmos::test;  // NOLINT(google-build-using-namespace): this file is a list of its functions
using namespace std::string_literals;
using Files = std::vector<std::pair<std::string, Bytes>>;

Files Videos() {
  constexpr int kSize = 4;  // in macroblocks
  const Bytes sps = H264Sps(kSize, kSize);
  const Bytes intra = H264Intra(kSize, kSize);
  std::vector<Bytes> units = H264Skips(kSize, kSize, 3, true);
  units.insert(units.begin(), intra);
  const std::vector<Bytes> packets = {WithLengths({intra}), WithLengths(units),
                                      WithLengths({H264DamagedIntra()})};
  const std::vector<Bytes> raw = {sps, H264Pps(), intra, units.back()};
  SampleTable edited = PlainTable(4);
  edited.edits = Box("edts", FullBox("elst", Big(2, 4) + Big(10, 4) + Big(0, 4) + Big(0x10000, 4) +
                                                 Big(20, 4) + Big(0xffffffff, 4) + Big(0x10000, 4)));
  const Bytes tag =
      Ebml(0x1254c367, Ebml(0x7373, Ebml(0x63c0, {}) + Ebml(0x67c8, Ebml(0x45a3, "A") + Ebml(0x4487, "1"))));
  return {
      {"tables.mp4", Mp4File(Mp4Track(PlainTable(4)))},
      {"edits.mp4", Mp4File(Mp4Track(edited))},
      {"tracks.mp4", Mp4File(Mp4Track(PlainTable(2), 1) + Mp4Track(PlainTable(2), 2))},
      {"fragments.mp4", FragmentedMp4(Big(2, 4) + Big(1, 4) + Big(1, 4), 0x200)},
      {"tags.mkv", MatroskaFile(tag)},
      {"h264.mkv", H264Matroska(sps, packets)},
      {"h264.mpg", H264ProgramStream(raw)},
      {"h264.flv", H264Flv(sps, {intra, units.back()})},
      {"h264.h264", WithStartCodes(raw)},
      {"script.flv", FlvFile("\x08"s + Big(1, 4) + Big(1, 2) + "a\1\1\0\0\x09"s)},
      {"jpeg.avi", AviFile({JpegFile(64, 64, 3), JpegFile(64, 64, 0)}, 64, 64)},
      {"streams.ts", TransportStream(3, 4)},
      {"laced.ogg", OggFile({Bytes(300, 'a'), Bytes(3, 'b')})},
  };
}

Files Pictures() {
  return {
      {"text.png", PngFile(PngChunk("tEXt", "k\0v"s))},
      {"compressed.png", PngFile(PngChunk("zTXt", "k\0\0"s + Deflated(100)))},
      {"profile.png", PngFile(PngChunk("iCCP", "p\0\0"s + Deflated(100)))},
      {"progressive.jpg", JpegFile(64, 64, 6)},
      {"exif.jpg", JpegFile(64, 64, 0, HostileExif())},
      {"tables.jpg", JpegFile(64, 64, 1, JpegSegment(0xc4, "\0\1"s + Bytes(15, '\0') + "\0"s))},
  };
}

const std::map<std::string, std::function<Files()>> kKinds = {
    {"video", Videos}, {"picture", Pictures}, {"messages", cosmos::fuzz::MessageSeeds}};

}  // namespace

int main(int count, char** arguments) {
  const auto kind = count == 3 ? kKinds.find(arguments[2]) : kKinds.end();
  if (kind == kKinds.end()) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER video|picture|messages\n");
    return 2;
  }
  for (const auto& [name, bytes] : kind->second()) {
    std::ofstream(std::filesystem::path(arguments[1]) / name, std::ios::binary) << bytes;
  }
  return 0;
}
