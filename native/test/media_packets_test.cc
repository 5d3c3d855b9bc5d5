// Bounds the cost of one packet: slices that cover a picture again and again, pictures that grow, false
// lengths.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bit_writer.h"
#include "ffmpeg/ffmpeg.h"
#include "hostile_cost.h"
#include "hostile_packets.h"
#include "media/bitstream/access_unit.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

using namespace std::literals;

// Macroblocks of 1920 x 1088.
constexpr int kWide = 120;
constexpr int kHigh = 68;
// More than 128 pictures of 8192 x 4352.
constexpr int kTooMany = 2300;

std::vector<Bytes> WholePicture() { return {H264Sps(kWide, kHigh), H264Pps(), H264Intra(kWide, kHigh)}; }

Bytes SlicesInMatroska(int count, bool reference) {
  return H264Matroska(H264Sps(kWide, kHigh), {WithLengths({H264Intra(kWide, kHigh)}),
                                              WithLengths(H264Skips(kWide, kHigh, count, reference))});
}

TEST(HostilePackets, SlicesThatCoverThePictureRepeatedly) {
  for (const bool reference : {false, true}) {
    SCOPED_TRACE(reference);
    const Status few = ReadBytes(SlicesInMatroska(20, reference));
    EXPECT_TRUE(few.ok()) << few.message();
    ExpectRefused("too many", SlicesInMatroska(kTooMany, reference), kOverLimit);
  }
  // With start codes where lengths are declared, which libavcodec detects.
  ExpectRefused(
      "start codes",
      H264Matroska(H264Sps(kWide, kHigh), {WithLengths({H264Intra(kWide, kHigh)}),
                                           WithStartCodes(H264Skips(kWide, kHigh, kTooMany, false))}),
      kOverLimit);
}

// libavcodec allocates kilobytes for each unit of a packet, and builds the tables of each parameter set.
TEST(HostilePackets, UnitsThatAreNoSlices) {
  const std::vector<Bytes> picture = {H264Sps(4, 4), H264Pps(), H264Intra(4, 4)};
  for (const Bytes& unit : {"\x0c"s, "\x06\x80"s, H264Pps()}) {
    std::vector<Bytes> units(10'000, unit);
    units.insert(units.end(), picture.begin(), picture.end());
    const Bytes raw = WithStartCodes(picture) + WithStartCodes(units) + WithStartCodes(picture);
    ExpectRefused("h264", raw, kOverLimit);
    ExpectRefused("matroska", H264Matroska(picture[0], {WithLengths({picture[2]}), WithLengths(units)}),
                  kOverLimit);
    units.erase(units.begin(), units.begin() + 9'900);
    const Status few = ReadBytes(H264Matroska(picture[0], {WithLengths(units), WithLengths(units)}));
    EXPECT_TRUE(few.ok()) << few.message();
  }
}

// Our own reader of parameter sets: a list of offsets that goes on to the end of the packet, in each of them.
TEST(HostilePackets, ParameterSetsWithEndlessLists) {
  BitWriter bits;
  bits.Put(77 << 16 | 62, 24).Golomb({0, 0, 1}).Put(0, 1).Golomb({0, 0, 0x7ffffffe});
  const std::vector<std::uint8_t> set = bits.Unit(0x67);
  std::vector<Bytes> units(4000, Bytes(set.begin() + 4, set.end()) + Bytes(200, '\x55'));
  for (const Bytes& unit : WholePicture()) units.push_back(unit);
  const Status status = ReadBytes(WithStartCodes(units) + WithStartCodes(WholePicture()));
  EXPECT_TRUE(status.ok()) << status.message();
}

// Here the decoders of FFmpeg's probing see the packets first.
TEST(HostilePackets, TheSameHoldsWhileStreamsAreProbed) {
  std::vector<Bytes> units = WholePicture();
  std::ranges::move(H264Skips(kWide, kHigh, kTooMany, false), std::back_inserter(units));
  // Pictures of this size may have fewer slices than that.
  std::vector<Bytes> fewer = WholePicture();
  std::ranges::move(H264Skips(kWide, kHigh, 200, false), std::back_inserter(fewer));
  const Status allowed = ReadBytes(WithStartCodes(fewer));
  EXPECT_TRUE(allowed.ok()) << allowed.message();
  ExpectRefused("h264", WithStartCodes(units), kOverLimit);
  ExpectRefused("mpeg", H264ProgramStream(units), kOverLimit);
  ExpectRefused("flv", H264Flv(H264Sps(kWide, kHigh), units), kOverLimit);
}

// A length of 0x167 looks like a start code before a parameter set, and a start code like the length 1, after
// which the bytes of a unit look like a length and a parameter set.
TEST(HostilePackets, UnitsAreCountedInTheFormThatTheirDecoderReads) {
  const Bytes large = H264Sps(16'000, 16'000).substr(2);
  const Bytes filler = "\x0c" + large + Bytes(0x167 - 1 - large.size(), '\xff');
  std::vector<Bytes> raw = WholePicture();
  raw.insert(raw.begin(), "\x0c" + Big(large.size() + 2, 4) + "\x67\x4d" + large);
  for (const auto& [name, file] :
       {std::pair{"lengths", H264Flv(H264Sps(kWide, kHigh), {H264Intra(kWide, kHigh), filler})},
        std::pair{"start codes", WithStartCodes(raw)}}) {
    SCOPED_TRACE(name);
    const Status status = ReadBytes(file);
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST(HostilePackets, StreamsThatAppearLateObeyThePixelLimit) {
  const std::vector<Bytes> large = {H264Sps(1000, 1000), H264Pps(), H264DamagedIntra()};
  ExpectRefused("mpeg", H264ProgramStream(large), kOverLimit);
  ExpectRefused("flv", H264Flv(large[0], large), kOverLimit);
  // Valid packets are read.
  for (const Bytes& file :
       {H264ProgramStream(WholePicture()), H264Flv(H264Sps(kWide, kHigh), {H264Intra(kWide, kHigh)})}) {
    const Status status = ReadBytes(file);
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST(HostilePackets, PicturesThatGrowInMidStream) {
  const auto picture = [](int width, int height, const Bytes& intra) {
    return WithLengths({H264Sps(width, height), H264Pps(), intra});
  };
  const Bytes small = picture(4, 4, H264Intra(4, 4));
  for (const int threads : {1, 4}) {
    SCOPED_TRACE(threads);
    ClipRequest request = Frames(3);
    request.threads = threads;
    const Bytes larger = picture(512, 400, H264DamagedIntra());
    const Status status = ReadBytes(H264Matroska(H264Sps(4, 4), {small, larger, small}), request);
    EXPECT_EQ(status.code(), StatusCode::kLimit) << status.message();
    EXPECT_NE(status.message().find("maxPixels"), std::string::npos) << status.message();
    // So large that the decoder treats it as damage.
    const Bytes file = H264Matroska(H264Sps(4, 4), {small, picture(1000, 1000, H264DamagedIntra()), small});
    const Cost cost;
    const DecodedClip clip = ReadClip(Lend(file), request);
    EXPECT_GT(clip.report.damaged, 0);
  }
}

// A packet that takes many seconds to decode but is below the limit.
TEST(HostilePackets, ADecoderIsStoppedWithinAPacket) {
  const Bytes file = SlicesInMatroska(2000, false);
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    ClipRequest request = Frames(2);
    request.threads = threads;
    request.limits.max_wall_seconds = 0.2;
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(ReadError(Lend(file), request).code(), StatusCode::kTimeout);

    const auto cancel = std::make_shared<CancelToken>();
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cancel->Cancel();
    });
    request.limits.max_wall_seconds = 300;
    auto reader = ClipReader::Open(Lend(file), request, std::nullopt, cancel);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_EQ(reader.value()->Next(cancel).status().code(), StatusCode::kCancelled);
    canceller.join();
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(), 5);
  }
}

std::int64_t SlicesOf(AVCodecID codec, const Bytes& data, const Bytes& extradata = {}) {
  AVCodecParameters* parameters = avcodec_parameters_alloc();
  parameters->codec_id = codec;
  parameters->extradata =
      static_cast<std::uint8_t*>(av_mallocz(extradata.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  std::ranges::copy(extradata, parameters->extradata);
  parameters->extradata_size = static_cast<int>(extradata.size());
  const ff::Packet packet(av_packet_alloc());
  av_new_packet(packet.get(), static_cast<int>(data.size()));
  std::ranges::copy(data, packet->data);
  const std::int64_t slices = AccessUnitReader(*parameters).CountUnits(*packet).slices;
  avcodec_parameters_free(&parameters);
  return slices;
}

TEST(HostilePackets, SlicesAreCountedInEachCodec) {
  const std::vector<Bytes> slices = H264Skips(8, 8, 300, true);
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_H264, WithStartCodes(slices)), 300);
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_H264, WithLengths(slices)), 300) << "lengths that nobody declared";
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_H264, WithLengths({H264Sps(8, 8), H264Pps()})), 0);
  const std::vector<Bytes> hevc(50, "\x02\1\x80\x40"s);
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_HEVC, WithStartCodes(hevc)), 50);
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_HEVC, WithLengths(hevc), "\1"s + Bytes(20, '\0') + "\3"s), 50);
  Bytes vc1 = "\0\0\1\x0d\x80"s;
  for (int i = 0; i < 40; ++i) vc1 += "\0\0\1\x0b\x80"s;
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_VC1, vc1), 41);
  Bytes av1 = "\x12\0"s;
  for (int i = 0; i < 30; ++i) av1 += "\x32\2\x10\0"s;
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_AV1, av1), 30);
  EXPECT_EQ(SlicesOf(AV_CODEC_ID_MPEG4, vc1), 1);
}

// A packet whose picture follows this many AV1 pictures that are decoded but not shown.
TEST(HostilePackets, HiddenAv1Pictures) {
  const auto path =
      MakeClip("hidden.ivf", "-f lavfi -i testsrc2=s=64x64:r=10:d=0.3 -c:v libsvtav1 -preset 10");
  Bytes file(std::filesystem::file_size(path), '\0');
  std::ifstream(path, std::ios::binary).read(file.data(), std::ssize(file));
  // The first packet again, with its frame a thousand times.
  constexpr std::size_t kHeader = 32;
  Bytes first = file.substr(kHeader + 12, static_cast<std::uint8_t>(file[kHeader]) |
                                              static_cast<std::uint8_t>(file[kHeader + 1]) << 8);
  for (int i = 0; i < 1000; ++i) first += "\x32\2\x10\0"s;
  const Bytes hostile =
      file.substr(0, kHeader) + Little(first.size(), 4) + Little(0, 8) + first + file.substr(kHeader);
  ExpectRefused("av1", hostile, kOverLimit);
}

// A sparse file: none of these bytes is on the disk.
std::filesystem::path Sparse(const std::string& name, const Bytes& head) {
  const auto path = ScratchFolder() / name;
  std::ofstream(path, std::ios::binary) << head;
  std::filesystem::resize_file(path, head.size() + (std::uintmax_t{1} << 31) + (1 << 20));
  return path;
}

TEST(HostilePackets, APacketOfTwoGigabytes) {
  constexpr std::uint64_t kLong = 0x7fffff00;
  const auto avi_of = [](std::uint64_t size) {
    Bytes avi = AviFile({"x"}, 64, 64);
    return avi.replace(avi.rfind("00dc") + 4, 4, Little(size, 4));
  };
  const auto mp4_of = [](std::uint64_t size) {
    SampleTable table = PlainTable(2);
    table.sizes = FullBox("stsz", Big(size, 4) + Big(2, 4));
    return Mp4File(Mp4Track(table));
  };
  const Bytes ivf =
      "DKIF\0\0\x20\0VP80\x40\0\x40\0\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0"s + Little(kLong, 4) + Bytes(8, '\0');
  const Bytes matroska = H264Matroska(H264Sps(4, 4), {});
  const auto mkv_of = [&](std::uint64_t size) {
    return matroska + "\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\0\xa3\1"s + Big(size, 7) +
           "\x81\0\0\x80"s;
  };
  const Bytes y4m = "YUV4MPEG2 W40000 H35000 F1:1 Ip A1:1 C420jpeg\nFRAME\n";
  ClipRequest request;
  request.limits.max_bytes = 16 << 20;
  for (const auto& [name, head] : std::vector<std::pair<std::string, Bytes>>{
           {"long.avi", avi_of(kLong)},
           {"longer.avi", avi_of(0x80000000)},
           {"long.mp4", mp4_of(kLong)},
           {"longer.mp4", mp4_of(0x80000000)},
           {"long.ivf", ivf},
           {"long.mkv", mkv_of(kLong)},
           {"longer.mkv", mkv_of(0x80000000)},
           {"long.y4m", y4m},
       }) {
    SCOPED_TRACE(name);
    const auto path = Sparse(name, head);
    const long before = PeakMiB(true);
    const Status status = ReadError(MediaPath{path.string()}, request);
    EXPECT_TRUE(kRefusals.contains(status.code()))
        << StatusCodeName(status.code()) << ": " << status.message();
    EXPECT_LT(PeakMiB() - before, 900);
    std::filesystem::remove(path);
  }
}

// Comments of these codecs are known only by their position.
TEST(HostileMetadata, OggComments) {
  constexpr int kMany = 100'000;
  Bytes comments = Little(1, 4) + "x"s + Little(kMany, 4);
  for (int i = 0; i < kMany; ++i) {
    const Bytes comment = std::to_string(i) + "=1";
    comments += Little(comment.size(), 4) + comment;
  }
  Bytes speex = "Speex   1.2"s + Bytes(25, '\0') + Little(16000, 4) + Bytes(8, '\0') + Little(1, 4);
  speex.resize(80);
  const Bytes flac = "\177FLAC\1\0\0\1fLaC"s + Big(0x22, 4) + Bytes(34, '\1');
  const Bytes ogm = "\1video\0\0\0"s + "H264"s + Bytes(60, '\0');
  for (const auto& [name, file] : std::vector<std::pair<std::string, Bytes>>{
           {"speex", OggFile({speex, comments})},
           {"flac", OggFile({flac, "\x84"s + Big(comments.size() & 0xffffff, 3) + comments})},
           {"ogm", OggFile({ogm, "\3vorbis"s + comments})},
           {"celt", OggFile({"CELT    "s + Bytes(52, '\0'), comments})},
       }) {
    ExpectRefused(name, file, kOverLimit);
  }
}

}  // namespace
}  // namespace cosmos::test
