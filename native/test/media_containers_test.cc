// Tests what containers declare and omit: parameter sets, slots, clocks, encryption, ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <random>
#include <sstream>

#include "containers.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

const std::string kMoving = "-f lavfi -i testsrc2=s=96x64:r=25:d=2 ";

// Compares every chosen frame with all frames of the video in presentation order.
void ExpectFrames(const std::filesystem::path& path, const std::vector<std::string>& expected) {
  for (const int threads : {1, 3}) {
    SCOPED_TRACE(testing::Message() << path.filename() << ", " << threads << " threads");
    ClipRequest request = Frames(24);
    request.threads = threads;
    const DecodedClip clip = ReadClip(MediaPath{path.string()}, request);
    ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
    for (std::size_t i = 0; i < clip.images.size(); ++i) {
      EXPECT_EQ(Hash(clip.images[i]), expected[static_cast<std::size_t>(clip.frames[i].index)])
          << "frame " << clip.frames[i].index;
    }
    EXPECT_TRUE(clip.report.warnings.empty()) << clip.report.warnings.front();
  }
}

// A range has the frames of the whole video that are shown within it, with their times.
void ExpectRanges(const std::filesystem::path& path, double length) {
  const int count = static_cast<int>(ReadClip(MediaPath{path.string()}, Frames(1)).report.frame_count);
  const DecodedClip all = ReadClip(MediaPath{path.string()}, Frames(count));
  EXPECT_NEAR(all.report.duration, length, 0.05);
  EXPECT_NEAR(all.end, length, 0.08);
  for (double start = 0; start < length - 0.5; start += length / 7) {
    ClipRequest request = Frames(4);
    request.start = start;
    request.end = start + length / 5;
    SCOPED_TRACE(testing::Message() << path.filename() << " from " << start << " to " << *request.end);
    const DecodedClip part = ReadClip(MediaPath{path.string()}, request);
    std::vector<std::size_t> in_range;
    for (std::size_t i = 0; i < all.frames.size(); ++i) {
      if (all.frames[i].pts >= start - 1e-6 && all.frames[i].pts < *request.end - 1e-6) in_range.push_back(i);
    }
    ASSERT_EQ(part.report.frame_count, static_cast<std::int64_t>(in_range.size()));
    for (int i = 0; i < 4; ++i) {
      const std::size_t frame = in_range[static_cast<std::size_t>(part.frames[i].index)];
      EXPECT_NEAR(part.frames[i].pts, all.frames[frame].pts, 1e-6);
      EXPECT_EQ(Hash(part.images[i]), Hash(all.images[frame]));
    }
  }
}

std::vector<std::string> HashesOfAll(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> hashes;
  for (const auto& file : files) {
    const auto more = ReferenceHashes(file);
    hashes.insert(hashes.end(), more.begin(), more.end());
  }
  return hashes;
}

TEST(MediaParameterSets, FromAMidStreamSequenceHeaderApplyAfterASeek) {
  const std::string encode = kMoving + "-c:v libx264 -bf 0 -g 12 -sc_threshold 0 ";
  const std::string other = "-f lavfi -i testsrc=s=96x64:r=25:d=2 -c:v libx264 -bf 0 -g 12 -sc_threshold 0 ";
  const std::string larger =
      "-f lavfi -i testsrc2=s=128x80:r=25:d=2 -c:v libx264 -bf 0 -g 12 -sc_threshold 0 ";
  for (const std::string suffix : {".flv", ".mp4"}) {
    const auto a = MakeClip("sets_a" + suffix, encode);
    const auto b = MakeClip("sets_b" + suffix, other + "-x264opts no-cabac:ref=1");
    const auto c = MakeClip("sets_c" + suffix, larger);
    int number = 0;
    for (const auto& files :
         {std::vector{a, b}, std::vector{b, a}, std::vector{a, b, a}, std::vector{a, c, b}}) {
      const Bytes joined = suffix == ".flv" ? JoinFlv(files, 2000) : JoinMp4(files);
      const auto path = WriteFile("sets" + std::to_string(++number) + suffix, joined);
      ExpectFrames(path, HashesOfAll(files));
      ExpectRanges(path, 2.0 * static_cast<double>(files.size()));
    }
  }
}

TEST(MediaParameterSets, BeforeKeyframesApplyAfterASeek) {
  const auto a = MakeClip("sets_a.h264", kMoving + "-c:v libx264 -bf 0 -g 12 -sc_threshold 0");
  const auto b = MakeClip("sets_b.h264",
                          "-f lavfi -i testsrc=s=128x80:r=25:d=2 -pix_fmt yuv420p -c:v libx264 -bf 0 "
                          "-g 12 -sc_threshold 0 -x264opts no-cabac:ref=1");
  const std::vector files = {a, b, a};
  Bytes joined;
  for (const auto& file : files) {
    const Bytes more = ReadFile(file);
    joined.insert(joined.end(), more.begin(), more.end());
  }
  const auto raw = WriteFile("sets.h264", joined);
  for (const std::string name : {"sets_in_band.mkv", "sets_in_band.ts", "sets_in_band.mp4"}) {
    ExpectFrames(MakeClip(name, "-r 25 -i '" + raw.string() + "' -c copy"), HashesOfAll(files));
  }
}

TEST(MediaParameterSets, OfHevcApplyAfterASeek) {
  const auto a =
      MakeClip("hevc_sets_a.mp4",
               kMoving + "-c:v libx265 -x265-params log-level=none:bframes=0:keyint=12 -tag:v hvc1");
  const auto b = MakeClip("hevc_sets_b.mp4",
                          "-f lavfi -i testsrc=s=96x64:r=25:d=2 -pix_fmt yuv420p -c:v libx265 -x265-params "
                          "log-level=none:bframes=0:keyint=12:ctu=16:no-sao=1 -tag:v hvc1");
  const std::vector files = {a, b, a};
  ExpectFrames(WriteFile("hevc_sets.mp4", JoinMp4(files)), HashesOfAll(files));
}

TEST(MediaSlots, AnAviShowsEachPictureInItsSlot) {
  const std::string rate = "-vf \"select='not(mod(n,7))+not(mod(n,3))'\" -fps_mode vfr ";
  for (const auto& [name, encode] :
       {std::pair{"slots_b.mp4", kMoving + "-c:v libx264 -bf 3 -g 12"},
        std::pair{"slots_mpeg4.mp4", kMoving + "-c:v mpeg4 -bf 2 -g 12"},
        std::pair{"slots_vfr.mp4", kMoving + rate + "-c:v libx264 -bf 0 -g 12"}}) {
    const auto mp4 = MakeClip(name, encode);
    const auto avi = MakeClip(std::string(name) + ".avi", "-i '" + mp4.string() + "' -c copy");
    const int count = static_cast<int>(ReadClip(MediaPath{mp4.string()}, Frames(1)).report.frame_count);
    const DecodedClip expected = ReadClip(MediaPath{mp4.string()}, Frames(count));
    const DecodedClip found = ReadClip(MediaPath{avi.string()}, Frames(count));
    ASSERT_EQ(found.report.frame_count, count) << name;
    for (int i = 0; i < count; ++i) {
      EXPECT_NEAR(found.frames[i].pts, expected.frames[i].pts, 1e-3) << name;
      EXPECT_EQ(Hash(found.images[i]), Hash(expected.images[i])) << name;
    }
    ExpectRanges(avi, 2);
  }
}

TEST(MediaJoined, ARangeOfAConcatenatedRecordingIsOnTheJoinedTimeline) {
  const std::string other = "-f lavfi -i testsrc=s=96x64:r=25:d=2 -pix_fmt yuv420p ";
  for (const auto& [suffix, codec] :
       {std::pair{".ts", "-c:v libx264 -bf 2 -g 12"}, std::pair{".mpg", "-c:v mpeg2video -bf 2 -g 12"},
        std::pair{".flv", "-c:v libx264 -bf 2 -g 12"}}) {
    const auto a = MakeClip(std::string("joined_a") + suffix, kMoving + codec);
    const auto b = MakeClip(std::string("joined_b") + suffix, other + codec);
    const std::vector files = {a, b, a};
    Bytes joined;
    for (const auto& file : files) {
      const Bytes more = ReadFile(file);
      joined.insert(joined.end(), more.begin(), more.end());
    }
    if (suffix == std::string(".flv")) joined = JoinFlv(files, 0);
    const auto path = WriteFile(std::string("joined") + suffix, joined);
    ExpectFrames(path, HashesOfAll(files));
    ExpectRanges(path, 6);
  }
}

std::string CodeOf(const Status& status) { return std::string(StatusCodeName(status.code())); }

TEST(MediaEncrypted, CommonEncryptionIsReported) {
  const auto clear = MakeClip("clear.mp4", kMoving + "-c:v libx264 -g 12");
  const auto whole = MakeClip("cenc.mp4", "-i '" + clear.string() +
                                              "' -c copy -encryption_scheme cenc-aes-ctr -encryption_key "
                                              "00112233445566778899aabbccddeeff -encryption_kid "
                                              "00112233445566778899aabbccddee00");
  const Status status = ReadError(MediaPath{whole.string()});
  EXPECT_EQ(CodeOf(status), "encrypted") << status.message();
  EXPECT_NE(status.message().find("encrypted"), std::string::npos);

  // Marked as DRM libraries do: by the type of the sample entry, with or without boxes that FFmpeg knows.
  for (const std::string arguments : {"", "-movflags frag_keyframe+empty_moov+default_base_moof"}) {
    const auto file = MakeClip("clear" + std::to_string(arguments.size()) + ".mp4",
                               "-i '" + clear.string() + "' -c copy " + arguments);
    std::vector<Box> boxes = ParseBoxes(ReadFile(file));
    Box& entry = SampleEntry(boxes);
    entry.type = "encv";
    entry.children.push_back(
        {.type = "sinf", .head = {0, 0, 0, 12, 'f', 'r', 'm', 'a', 'a', 'v', 'c', '1'}, .children = {}});
    const Status marked = ReadError(MediaPath{WriteFile("marked.mp4", WriteBoxes(boxes)).string()});
    EXPECT_EQ(CodeOf(marked), "encrypted") << marked.message();
  }
}

TEST(MediaEncrypted, WindowsMediaDrmIsReported) {
  const auto clear = MakeClip("clear.asf", kMoving + "-c:v mpeg4");
  EXPECT_TRUE(ReadError(MediaPath{clear.string()}).ok());
  Bytes bytes = ReadFile(clear);
  // A Content Encryption Object: its GUID, its size, then four pieces with their lengths.
  Bytes object = {0xFB, 0xB3, 0x11, 0x22, 0x23, 0xBD, 0xD2, 0x11,
                  0xB4, 0xB7, 0x00, 0xA0, 0xC9, 0x55, 0xFC, 0x6E};
  Bytes pieces;
  for (const std::string piece : {"secret", "DRM", "key", "https://example.com"}) {
    pieces.insert(pieces.end(), {static_cast<std::uint8_t>(piece.size()), 0, 0, 0});
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  object.push_back(static_cast<std::uint8_t>(object.size() + 8 + pieces.size()));
  object.resize(object.size() + 7);
  object.insert(object.end(), pieces.begin(), pieces.end());
  constexpr std::size_t kSizeAt = 16;
  constexpr std::size_t kCountAt = 24;
  constexpr std::size_t kFirstObject = 30;
  const std::size_t size = bytes[kSizeAt] + 256U * bytes[kSizeAt + 1] + object.size();
  bytes[kSizeAt] = size & 0xff;
  bytes[kSizeAt + 1] = size >> 8 & 0xff;
  ++bytes[kCountAt];
  bytes.insert(bytes.begin() + kFirstObject, object.begin(), object.end());
  EXPECT_EQ(CodeOf(ReadError(Borrow(bytes))), "encrypted");
}

TEST(MediaEncrypted, EncryptedMatroskaIsReported) {
  const auto clear = MakeClip("clear.webm", kMoving + "-c:v libvpx -live 1");
  EXPECT_TRUE(ReadError(MediaPath{clear.string()}).ok());
  const Bytes marked = MarkedEncrypted(ReadFile(clear));
  const Status status = ReadError(Borrow(marked));
  EXPECT_EQ(CodeOf(status), "encrypted") << status.message();
}

TEST(MediaDamage, ATruncatedLastPictureIsNotAFrame) {
  std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): fixed seed
  const std::string codec = kMoving + "-c:v libx264 -bf 2 -g 12 ";
  for (const auto& [name, arguments, must_warn] :
       {std::tuple{"ends.mp4", codec + "-movflags +faststart", true},
        std::tuple{"ends_fragments.mp4", codec + "-movflags frag_keyframe+empty_moov+default_base_moof",
                   false},
        std::tuple{"ends.mov", codec + "-movflags +faststart", true}, std::tuple{"ends.flv", codec, false},
        std::tuple{"ends.mkv", codec, false},
        std::tuple{"ends.avi", "-i '" + MakeClip("ends_of.mp4", codec).string() + "' -c copy", false}}) {
    const auto whole = MakeClip(name, arguments);
    const Bytes bytes = ReadFile(whole);
    const auto expected = ReferenceHashes(whole);
    for (int cut = 0; cut < 5; ++cut) {
      const std::size_t size =
          std::uniform_int_distribution<std::size_t>(bytes.size() / 2, bytes.size() - 1)(random);
      SCOPED_TRACE(testing::Message() << name << " cut to " << size << " bytes of " << bytes.size());
      const auto path = WriteFile(std::string("cut_") + name, std::span(bytes).first(size));
      const auto shown = ReferenceHashes(path);
      const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(8));
      EXPECT_EQ(clip.report.frame_count, static_cast<std::int64_t>(shown.size()));
      EXPECT_EQ(Hash(clip.images.back()), shown.back());
      const bool lost = shown.size() < expected.size();
      if (must_warn && lost) {
        EXPECT_FALSE(clip.report.warnings.empty());
      }
      for (const std::string& warning : clip.report.warnings)
        EXPECT_NE(warning.find("ends early"), std::string::npos) << warning;
    }
  }
}

// When the ffmpeg command shows each frame, from the first on.
std::vector<double> TimesOf(const std::filesystem::path& path) {
  const auto output = RunShell(
      "ffprobe -v quiet -select_streams v -show_entries frame=best_effort_timestamp_time -of "
      "csv=p=0 '" +
      path.string() + "'");
  std::istringstream lines(output.value_or(""));
  std::vector<double> times;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] != 'N') times.push_back(std::stod(line));
  }
  // A decoder that is told to hide pictures returns some of the others late.
  std::ranges::sort(times);
  const double first = times.empty() ? 0 : times[0];
  for (double& time : times) time -= first;
  return times;
}

void ExpectTimes(const std::filesystem::path& path) {
  const std::vector<double> expected = TimesOf(path);
  const int count = static_cast<int>(expected.size());
  const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(count));
  ASSERT_EQ(clip.report.frame_count, count);
  for (int i = 0; i < count; ++i) EXPECT_NEAR(clip.frames[i].pts, expected[i], 1e-3) << "frame " << i;
}

TEST(MediaEdits, SeveralEditsAreOneTimeline) {
  for (const auto& [name, codec] : {std::pair{"edits_b.mp4", "-c:v libx264 -bf 2 -g 12"},
                                    std::pair{"edits.mp4", "-c:v libx264 -bf 0 -g 12"}}) {
    const auto whole = MakeClip(name, kMoving + codec);
    // Start and length of each, in seconds of the media.
    for (const auto& edits : {std::vector<std::pair<double, double>>{{0.5, 0.6}, {1.2, 0.5}},
                              {{1.2, 0.5}, {0.2, 0.4}, {0.9, 0.7}},
                              {{0, 0.48}, {0, 0.48}, {0.48, 1}}}) {
      std::vector<Box> boxes = ParseBoxes(ReadFile(whole));
      const std::vector<std::string> path = {"moov", "trak", "edts", "elst"};
      Box& list = FindBox(boxes, path);
      const std::uint32_t shift = Big32(list.head, 12);
      list.head.resize(8 + 12 * edits.size());
      PutBig32(list.head, 4, static_cast<std::uint32_t>(edits.size()));
      for (std::size_t i = 0; i < edits.size(); ++i) {
        PutBig32(list.head, 8 + 12 * i, static_cast<std::uint32_t>(std::lround(edits[i].second * 1000)));
        PutBig32(list.head, 12 + 12 * i,
                 static_cast<std::uint32_t>(std::lround(edits[i].first * 12800)) + shift);
        PutBig32(list.head, 16 + 12 * i, 0x10000);
      }
      const auto edited = WriteFile(std::to_string(edits.size()) + name, WriteBoxes(boxes));
      SCOPED_TRACE(testing::Message() << name << ", " << edits.size() << " edits");
      ExpectFrames(edited, ReferenceHashes(edited));
      ExpectTimes(edited);
      double length = 0;
      for (const auto& [start, seconds] : edits) length += seconds;
      ExpectRanges(edited, length);
    }
  }
}

TEST(MediaFragments, RepeatedOnesAreShownAsFfmpegShowsThem) {
  const auto whole = MakeClip("again.mp4", kMoving +
                                               "-c:v libx264 -bf 2 -g 10 -sc_threshold 0 "
                                               "-movflags frag_keyframe+empty_moov+default_base_moof");
  const std::vector<Box> boxes = ParseBoxes(ReadFile(whole));
  std::vector<std::size_t> fragments;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    if (boxes[i].type == "moof") fragments.push_back(i);
  }
  ASSERT_EQ(fragments.size(), 5U);
  for (const auto& order :
       {std::vector{0, 1, 1, 2, 3, 4}, std::vector{1, 2, 3}, std::vector{0, 1, 2, 1, 2, 3}}) {
    std::vector<Box> joined(boxes.begin(), boxes.begin() + static_cast<std::ptrdiff_t>(fragments[0]));
    for (const int number : order) {
      joined.push_back(boxes[fragments[number]]);
      joined.push_back(boxes[fragments[number] + 1]);
    }
    const auto path = WriteFile("again" + std::to_string(order.size()) + ".mp4", WriteBoxes(joined));
    ExpectFrames(path, ReferenceHashes(path));
  }
}

TEST(MediaFrames, AMatrixCloseToARightAngleRotates) {
  const auto upright = MakeClip("off_upright.mp4", kMoving + "-c:v libx264 -bf 0");
  const std::map<int, std::string> filters = {
      {0, ""}, {90, ",transpose=clock"}, {180, ",hflip,vflip"}, {270, ",transpose=cclock"}};
  for (const double angle : {0.3, 89.6, 90.4, 179.7, 180.3, 269.6, 270.4}) {
    SCOPED_TRACE(angle);
    std::vector<Box> boxes = ParseBoxes(ReadFile(upright));
    const std::vector<std::string> header = {"moov", "trak", "tkhd"};
    Box& track = FindBox(boxes, header);
    constexpr std::size_t kMatrix = 40;
    const double radians = angle * std::numbers::pi / 180;
    const auto put = [&](int entry, double value) {
      const auto fixed = static_cast<std::int32_t>(std::lround(value * 65536));
      PutBig32(track.head, kMatrix + 4 * static_cast<std::size_t>(entry), static_cast<std::uint32_t>(fixed));
    };
    put(0, std::cos(radians));
    put(1, std::sin(radians));
    put(3, -std::sin(radians));
    put(4, std::cos(radians));
    const auto path = WriteFile("off.mp4", WriteBoxes(boxes));
    const int right = static_cast<int>(std::lround(angle / 90)) % 4 * 90;
    const auto expected = ReferenceHashes(path, {.filter = filters.at(right)});
    const DecodedClip clip = ReadClip(MediaPath{path.string()});
    EXPECT_EQ(clip.report.rotation, right);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]);
  }
}

TEST(MediaFrames, BlockGroupsWithoutReferencesAreNotAllKeyframes) {
  for (const auto& [name, codec] :
       {std::pair{"alpha_vp8.webm", "-c:v libvpx -auto-alt-ref 0 -g 20"},
        std::pair{"alpha_vp9.webm", "-c:v libvpx-vp9 -cpu-used 8 -auto-alt-ref 0 -g 20"}}) {
    const auto path = MakeClip(name, kMoving + "-vf format=yuva420p " + codec);
    const auto expected = ReferenceHashes(path);
    ExpectFrames(WriteFile(std::string("noref_") + name, WithoutReferences(ReadFile(path))), expected);
  }
}

}  // namespace
}  // namespace cosmos::test
