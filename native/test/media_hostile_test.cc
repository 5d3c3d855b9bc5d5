// Files of a few bytes that demand gigabytes or hours. Each must quickly end in a clip or in an error that
// gives the reason.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hostile_cost.h"
#include "hostile_files.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

using namespace std::literals;

Bytes Repeat(int count, const auto& make) {
  Bytes bytes;
  for (int i = 0; i < count; ++i) bytes += make(i);
  return bytes;
}

Bytes Number(int value) {
  std::string digits = std::to_string(value);
  return std::string(7 - digits.size(), '0') + digits;
}

TEST(HostileMp4, TablesThatClaimMoreThanTheFileHolds) {
  constexpr std::uint32_t kMany = 80'000'000;
  for (const auto& [name, change] : std::vector<std::pair<std::string, void (*)(SampleTable&)>>{
           {"stsz", [](SampleTable& table) { table = PlainTable(kMany); }},
           {"stco", [](SampleTable& table) { table.offsets = FullBox("stco", Big(kMany, 4)); }},
           {"co64", [](SampleTable& table) { table.offsets = FullBox("co64", Big(kMany, 4)); }},
           {"stsc", [](SampleTable& table) { table.chunks = FullBox("stsc", Big(kMany, 4)); }},
           {"stss", [](SampleTable& table) { table.more = FullBox("stss", Big(kMany, 4)); }},
           {"stz2", [](SampleTable& table) { table.sizes = FullBox("stz2", Big(4, 4) + Big(kMany, 4)); }},
           {"sgpd",
            [](SampleTable& table) {
              table.more = FullBox("sgpd", "rap "s + Big(1, 4) + Big(0x70000000, 4), 0, 1);
            }},
       }) {
    SampleTable table = PlainTable(16);
    change(table);
    ExpectRefused(name, Mp4File(Mp4Track(table)), kRefusals);
  }
}

TEST(HostileMp4, TablesInUnusualPlacesThatFfmpegAccepts) {
  const Bytes table = PlainTable(80'000'000).sizes;
  const Bytes track = Mp4Track(PlainTable(16));
  const Bytes handler = FullBox("hdlr", Bytes(20, '\0'));
  SampleTable nested = PlainTable(16);
  nested.sizes = Box("edts", table);
  const Bytes movie = Mp4File(Mp4Track(PlainTable(80'000'000)));
  Bytes hidden = movie;
  hidden.replace(hidden.find("moov"), 4, "free");
  Bytes in_description = Mp4File(track);
  const std::size_t config = in_description.find("avcC") - 4;
  in_description.replace(config, table.size(), table);
  for (const auto& [name, file] : std::vector<std::pair<std::string, Bytes>>{
           {"edts", Mp4File(Mp4Track(nested))},
           {"a box declared free", hidden},
           {"a sample description", in_description},
           {"meta", Mp4File(track, Box("udta", FullBox("meta", handler + table)))},
       }) {
    ExpectRefused(name, file, kRefusals);
  }
}

TEST(HostileMp4, FragmentsAndEdits) {
  ExpectRefused("trun", FragmentedMp4(Big(80'000'000, 4), 0), kRefusals);
  ExpectRefused("trun, 16 tracks", FragmentedMp4(Big(10'000'000, 4), 0, 16), kRefusals);
  ExpectRefused("trun with sizes", FragmentedMp4(Big(80'000'000, 4), 0x200), kRefusals);
  SampleTable edited = PlainTable(1'000'000);
  const Bytes edit = Big(1'000'000, 4) + Big(0, 4) + Big(0x10000, 4);
  edited.edits = Box("edts", FullBox("elst", Big(20'000, 4) + Repeat(20'000, [&](int) { return edit; })));
  ExpectRefused("elst", Mp4File(Mp4Track(edited)), kRefusals);
}

// FFmpeg keeps the title of each chapter, and all of these are the same 64 KiB of the file.
TEST(HostileMp4, ChaptersThatShareTheirTitles) {
  const auto chapters = [](std::uint32_t count) {
    SampleTable video = PlainTable(1);
    video.edits = Box("tref", Box("chap", Big(2, 4)));
    const Bytes place = Big(40, 4);
    const SampleTable titles = {
        .times = FullBox("stts", Big(1, 4) + Big(count, 4) + Big(1, 4)),
        .chunks = FullBox("stsc", Big(1, 4) + Big(1, 4) + Big(1, 4) + Big(1, 4)),
        .sizes = FullBox("stsz", Big(0xffff, 4) + Big(count, 4)),
        .offsets =
            FullBox("stco", Big(count, 4) + Repeat(static_cast<int>(count), [&](int) { return place; }))};
    return Mp4File(Mp4Track(video) + Mp4Track(titles, 2));
  };
  ExpectRefused("many", chapters(100'000), kOverLimit);
  EXPECT_NE(ReadBytes(chapters(100)).code(), StatusCode::kLimit);
}

TEST(HostileMp4, CompressedHeaders) {
  const Bytes movie = Box("cmov", Box("dcom", "zlib") + Box("cmvd", Big(1U << 30, 4) + Deflated(1U << 30)));
  ExpectRefused("cmov", Box("ftyp", "qt  \0\0\0\0qt  "s) + Box("moov", movie), kRefusals);
}

TEST(HostileMp4, ListsThatAreSearchedForEachEntry) {
  constexpr int kMany = 100'000;
  const Bytes track = Mp4Track(PlainTable(16));
  const Bytes notes = Repeat(kMany, [](int i) {
    return Box("----",
               FullBox("mean", "m") + FullBox("name", Number(i)) + Box("data", Big(1, 4) + Big(0, 4) + "x"s));
  });
  const Bytes handler = FullBox("hdlr", Bytes(4, '\0') + "mdir"s + Bytes(12, '\0'));
  ExpectRefused("ilst", Mp4File(track, Box("udta", FullBox("meta", handler + Box("ilst", notes)))),
                kOverLimit);
  const Bytes keys =
      Repeat(kMany, [](int i) { return FullBox("pssh", Bytes(9, 'a') + Number(i) + Big(0, 4)); });
  ExpectRefused("pssh", Mp4File(track, keys), kOverLimit);
}

TEST(HostileMatroska, Lists) {
  constexpr int kMany = 200'000;
  const Bytes tags =
      Repeat(kMany, [](int i) { return Ebml(0x67c8, Ebml(0x45a3, Number(i)) + Ebml(0x4487, "1")); });
  const Bytes tag = Ebml(0x1254c367, Ebml(0x7373, Ebml(0x63c0, {}) + tags));
  const Bytes chapters =
      Ebml(0x1043a770, Ebml(0x45b9, Repeat(kMany, [](int i) {
                              return Ebml(0xb6, Ebml(0x73c4, Big(static_cast<std::uint64_t>(kMany - i), 4)) +
                                                    Ebml(0x91, Big(static_cast<std::uint64_t>(i), 4)));
                            })));
  const Bytes empty_tracks = Repeat(1'000'000, [](int) { return "\xae\x80"s; });
  const Bytes files = Ebml(0x1941a469, Repeat(kMany, [](int) { return "\x61\xa7\x80"s; }));
  ExpectRefused("tags", MatroskaFile(tag), kOverLimit);
  ExpectRefused("chapters", MatroskaFile(chapters), kOverLimit);
  ExpectRefused("tracks", MatroskaFile({}, empty_tracks), kOverLimit);
  ExpectRefused("attachments", MatroskaFile(files), kOverLimit);
  // Where only a seek head or damage leads.
  ExpectRefused("in a void", MatroskaFile(Ebml(0xec, tag)), kOverLimit);
  Bytes unknown_size = MatroskaFile(tag);
  const std::size_t at = unknown_size.find("\x12\x54\xc3\x67"s) + 4;
  unknown_size.replace(at, 8, "\x01\xff\xff\xff\xff\xff\xff\xff"s);
  ExpectRefused("of unknown size", unknown_size, kOverLimit);
}

// Our own checks walk a list from each place that looks like one: here each holds all that follow.
TEST(HostileMatroska, ListsThatOverlapHaveACost) {
  const Bytes lists =
      Repeat(100, [](int) { return "\x84\x8c\x10\x43\xa7\x70\x01\xff\xff\xff\xff\xff\xff\xff"s; });
  const Bytes empty = Repeat(100'000, [](int) { return "\x80\x80"s; });
  ClipRequest request;
  request.limits.max_bytes = 32 << 20;
  EXPECT_EQ(ReadBytes(MatroskaFile(lists + empty), request).code(), StatusCode::kLimit);
}

TEST(HostileMetadata, NamesInListsThatAreSearched) {
  constexpr int kMany = 100'000;
  const Bytes flv = Repeat(kMany, [](int i) { return Big(7, 2) + Number(i) + "\1\1"s; });
  ExpectRefused("flv", FlvFile("\x08"s + Big(kMany, 4) + flv + "\0\0\x09"s), kOverLimit);
  const Bytes info =
      Repeat(kMany, [](int i) { return Big(static_cast<std::uint64_t>(i), 4) + Little(2, 4) + "x\0"s; });
  const Bytes list = "LIST"s + Little(info.size() + 4, 4) + "INFO"s + info;
  ExpectRefused("avi", AviFile({JpegFile(64, 64, 0)}, 64, 64, list), kOverLimit);
}

// FFmpeg reads ID3 in front of any container, and within ASF.
TEST(HostileMetadata, Id3Tags) {
  const auto tag = [](int count) {
    const Bytes frames =
        Repeat(count, [](int i) { return "TXXX"s + Big(10, 4) + "\0\0\0"s + Number(i) + "\0x"s; });
    Bytes size;
    for (int shift = 21; shift >= 0; shift -= 7) size += static_cast<char>(frames.size() >> shift & 0x7f);
    return "ID3\3\0\0"s + size + frames;
  };
  const Bytes movie = Mp4File(Mp4Track(PlainTable(4)));
  ExpectRefused("mp4", tag(45'000) + movie, kOverLimit);
  ExpectRefused("several", tag(4000) + tag(4000) + tag(4000) + TransportStream(1, 4), kOverLimit);
  EXPECT_NE(ReadBytes(tag(100) + movie).code(), StatusCode::kLimit);
  const Bytes guid = "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"s;
  ExpectRefused("asf", guid + Little(1 << 20, 8) + Little(1, 4) + "\1\2"s + tag(45'000), kOverLimit);
  // One of ordinary size, or bytes that only begin like one.
  const auto video = ReadFile(MakeClip("id3.wmv", "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -c:v wmv2 -f asf"));
  for (const Bytes& last : {tag(3), "ID3\3"s, "ID3\4\0\0\x7f\x7f\x7f\x7f"s}) {
    auto bytes = video;
    bytes.insert(bytes.end(), last.begin(), last.end());
    const Status status = ReadError(Borrow(bytes), Frames(2));
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST(HostileMetadata, ArraysAsLongAsTheyClaimToBe) {
  const auto array = [](const Bytes& name) {
    return Big(name.size(), 2) + name + "\x0a"s + Big(0x07ffffff, 4);
  };
  const Bytes keyframes = "\x08\0\0\0\1\0\x09keyframes\3"s + array("times") + "\0\0\0\0\0\0\0\0\0"s;
  ExpectRefused("flv", FlvFile(keyframes), kRefusals);
}

TEST(HostileProbe, PicturesAreMeteredWhileStreamsAreProbed) {
  ExpectRefused("16000 x 16000", TransportStream(1, 1000), kOverLimit);
}

TEST(HostileProbe, PicturesOfAllStreamsCountTogether) {
  // Each is below the limit on pixels.
  ExpectRefused("16 streams of 5920 x 5920", TransportStream(16, 370), kOverLimit);
}

TEST(HostileStreams, TooManyAreALimitError) {
  ExpectRefused("mp4", Mp4File(Repeat(17, [](int i) { return Mp4Track(PlainTable(1), i + 1); })), kOverLimit);
  ExpectRefused("mpegts", TransportStream(60, 4), kOverLimit);
  ExpectRefused(
      "matroska",
      MatroskaFile({}, Repeat(17,
                              [](int i) {
                                const Bytes number = Big(static_cast<std::uint64_t>(i + 1), 1);
                                const Bytes video = Ebml(0xe0, Ebml(0xb0, "\x40") + Ebml(0xba, "\x40"));
                                return Ebml(0xae, Ebml(0xd7, number) + Ebml(0x73c5, number) +
                                                      Ebml(0x83, "\1") + Ebml(0x86, "V_VP8") + video);
                              })),
      kOverLimit);
}

Status ReadPicture(const Bytes& file, std::vector<RgbImage>* images = nullptr) {
  const Cost cost;
  ClipRequest request = Frames(1);
  request.keep_images = true;
  request.limits.max_pixels = std::int64_t{8192} * 8192;
  auto clip = ClipFromImages(std::vector<StillImage>{Lend(file)}, request, std::make_shared<CancelToken>());
  if (!clip.ok()) return clip.TakeStatus();
  if (images) *images = std::move(clip).value().images;
  return {};
}

TEST(HostilePictures, CompressedMetadataIsNotDecompressed) {
  const Bytes bomb = Deflated(std::uint64_t{512} << 20);
  const Bytes texts = Repeat(100'000, [](int i) { return PngChunk("tEXt", Number(i) + "\0x"s); });
  std::vector<RgbImage> plain;
  ASSERT_TRUE(ReadPicture(PngFile({}), &plain).ok());
  for (const auto& [name, chunks] :
       std::vector<std::pair<std::string, Bytes>>{{"zTXt", PngChunk("zTXt", "k\0\0"s + bomb)},
                                                  {"iTXt", PngChunk("iTXt", "k\0\1\0\0\0"s + bomb)},
                                                  {"iCCP", PngChunk("iCCP", "p\0\0"s + bomb)},
                                                  {"tEXt", texts}}) {
    SCOPED_TRACE(name);
    std::vector<RgbImage> images;
    const Status status = ReadPicture(PngFile(chunks), &images);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(Hash(images.at(0)), Hash(plain.at(0)));
  }
}

// The most groups that the format has take 340 MB, whatever the size of the picture.
TEST(HostilePictures, TablesOfLosslessWebps) {
  EXPECT_EQ(ReadPicture(WebpFile(8, 8, 65'536)).code(), StatusCode::kLimit);
  EXPECT_TRUE(ReadPicture(WebpFile(8, 8, 16)).ok());
  EXPECT_TRUE(ReadPicture(WebpFile(1024, 1024, 65'536)).ok());
}

TEST(HostilePictures, JpegsWithTooManyScansAreRefused) {
  EXPECT_TRUE(ReadPicture(JpegFile(256, 256, 20)).ok());
  EXPECT_EQ(ReadPicture(JpegFile(8192, 8192, 2000)).code(), StatusCode::kLimit);
  EXPECT_EQ(ReadPicture(JpegFile(64, 64, 200'000)).code(), StatusCode::kLimit);
  const Bytes tables =
      Repeat(200'000, [](int) { return JpegSegment(0xc4, "\0\1"s + Bytes(15, '\0') + "\0"s); });
  EXPECT_EQ(ReadPicture(JpegFile(64, 64, 0, tables)).code(), StatusCode::kLimit);
  // The largest accepted file is bounded too.
  EXPECT_TRUE(ReadPicture(JpegFile(8192, 8192, 95)).ok());
}

TEST(HostilePictures, ExifIsNotFollowed) {
  std::vector<RgbImage> plain;
  std::vector<RgbImage> images;
  ASSERT_TRUE(ReadPicture(JpegFile(64, 64, 0), &plain).ok());
  const Status status = ReadPicture(JpegFile(64, 64, 0, HostileExif()), &images);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Hash(images.at(0)), Hash(plain.at(0)));
}

TEST(HostilePictures, TheSameHoldsWithinAVideo) {
  EXPECT_TRUE(ReadBytes(AviFile({JpegFile(64, 64, 3), JpegFile(64, 64, 3)}, 64, 64)).ok());
  EXPECT_TRUE(ReadBytes(AviFile({JpegFile(64, 64, 0, HostileExif()), JpegFile(64, 64, 0)}, 64, 64)).ok());
  EXPECT_EQ(ReadBytes(AviFile({JpegFile(4096, 4096, 20'000), JpegFile(64, 64, 0)}, 64, 64)).code(),
            StatusCode::kLimit);
}

// A recording whose clock jumps ahead by a day in the middle.
TEST(HostileWindows, WindowsOverAGapShareTheirClip) {
  const auto path = MakeClip("gap.mkv",
                             "-f lavfi -i testsrc2=s=64x48:r=10:d=4 -c:v libx264 -g 5 "
                             "-vf \"setpts=if(gte(N\\,20)\\,N+800000\\,N)\" -fps_mode passthrough");
  const Cost cost;
  ClipRequest request;
  auto reader = ClipReader::Open(MediaPath{path.string()}, request, Windows{8, 8}, nullptr);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  int clips = 0;
  std::set<const Clip*> distinct;
  std::vector<ClipPtr> kept;
  double end = 0;
  for (;; ++clips) {
    auto clip = reader.value()->Next(nullptr);
    ASSERT_TRUE(clip.ok()) << clip.status().message();
    if (!clip.value()) break;
    EXPECT_NEAR(clip.value()->start, 8.0 * clips, 1e-6);
    end = clip.value()->end;
    EXPECT_EQ(clip.value()->frames.size(), 8U);
    if (distinct.insert(clip.value()->clip.get()).second) kept.push_back(clip.value()->clip);
  }
  EXPECT_NEAR(end, 80'002, 8);
  EXPECT_GT(clips, 9990);
  EXPECT_LE(distinct.size(), 4U);
}

TEST(HostileWindows, TooManyOverlappingWindowsAreALimitError) {
  const auto path =
      MakeClip("overlap.mkv", "-f lavfi -i testsrc2=s=64x48:r=25:d=40 -c:v libx264 -preset ultrafast");
  const Cost cost;
  ClipRequest request;
  request.limits.max_bytes = 64 << 20;
  auto reader = ClipReader::Open(MediaPath{path.string()}, request, Windows{20, 0.04}, nullptr);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  Status status;
  for (int i = 0; i < 2000 && status.ok(); ++i) {
    auto clip = reader.value()->Next(nullptr);
    if (!clip.ok()) status = clip.status();
    if (clip.ok() && !clip.value()) break;
  }
  EXPECT_EQ(status.code(), StatusCode::kLimit) << status.message();
}

// Overwrites counts and sizes of real files with arbitrary values. The sanitizers watch.
TEST(HostileMutations, NoCountOrSizeCostsMuch) {
  const std::string source = "-f lavfi -i testsrc2=s=64x48:r=25:d=1 ";
  const std::vector<std::filesystem::path> paths = {
      MakeClip("counts.mp4", source + "-c:v libx264 -bf 2 -g 10"),
      MakeClip("counts_fragments.mp4", source + "-c:v libx264 -g 10 -movflags frag_keyframe+empty_moov"),
      MakeClip("counts.mov", source + "-c:v mjpeg -q:v 20"),
      MakeClip("counts.mkv", source + "-c:v libvpx -g 10 -metadata a=b"),
      MakeClip("counts.avi", source + "-c:v mjpeg -q:v 20 -metadata title=b"),
      MakeClip("counts.flv", source + "-c:v libx264 -g 10 -flvflags add_keyframe_index"),
      MakeClip("counts.wmv", source + "-c:v mpeg4 -f asf -metadata title=b"),
      MakeClip("counts.ts", source + "-c:v libx264 -g 10"),
  };
  constexpr std::array<std::uint32_t, 8> kValues = {0,        1,          0x7f,       0xffff,
                                                    0xffffff, 0x0fffffff, 0x7fffffff, 0xffffffff};
  std::mt19937 random(20);
  ClipRequest request = Frames(2);
  request.limits.max_wall_seconds = 20;
  for (const auto& path : paths) {
    const std::vector<std::uint8_t> whole = ReadFile(path);
    const auto head = static_cast<std::size_t>(std::min<std::ptrdiff_t>(std::ssize(whole), 1500));
    for (int round = 0; round < 40; ++round) {
      std::vector<std::uint8_t> bytes = whole;
      for (int changes = 1 + round % 3; changes > 0; --changes) {
        // Tables are at either end of the file.
        const std::size_t from = round % 2 == 0 ? 0 : bytes.size() - head;
        const std::size_t at = from + random() % (head - 4);
        const std::uint32_t value = kValues[random() % kValues.size()];
        const int width = round % 5 == 0 ? 1 : 4;
        for (int i = 0; i < width; ++i)
          bytes[at + i] = static_cast<std::uint8_t>(value >> 8 * (width - 1 - i));
      }
      SCOPED_TRACE(path.filename().string() + " round " + std::to_string(round));
      const Cost cost;
      const Status status = ReadError(Borrow(bytes), request);
      EXPECT_NE(status.code(), StatusCode::kInternal) << status.message();
      EXPECT_NE(status.code(), StatusCode::kOutOfMemory) << status.message();
      EXPECT_NE(status.code(), StatusCode::kTimeout) << status.message();
    }
  }
}

}  // namespace
}  // namespace cosmos::test
