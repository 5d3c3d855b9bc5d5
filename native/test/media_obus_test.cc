// AV1 whose packets are written in unusual but valid ways. The frames are those of the ffmpeg command.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "media/bitstream/av1_headers.h"
#include "media/demux/demuxer.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

using Packet = std::vector<std::uint8_t>;

const std::string kMoving = "-f lavfi -i testsrc2=s=96x64:r=25:d=4 ";
const std::string kSvt = kMoving + "-c:v libsvtav1 -preset 12 -g 50";
// Another sequence header than that of kSvt.
const std::string kAom = kMoving + "-c:v libaom-av1 -cpu-used 8 -row-mt 0 -b:v 200k -g 50";

std::vector<Packet> PacketsOf(const std::filesystem::path& path) {
  const JobGuard guard(300, std::int64_t{1} << 31);
  auto demuxer = Demuxer::Open(MediaPath{path.string()}, {}, guard);
  if (!demuxer.ok()) ADD_FAILURE() << demuxer.status().message();
  std::vector<Packet> packets;
  const ff::Packet packet(av_packet_alloc());
  while (demuxer.ok()) {
    const auto read = demuxer.value()->Read(*packet);
    if (!read.ok() || !read.value()) break;
    packets.emplace_back(packet->data, packet->data + packet->size);
  }
  return packets;
}

void Append(Packet& packet, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) packet.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

// A file of the packets as they are, in IVF, which stores them with a size and a time only.
std::filesystem::path WriteIvf(const std::filesystem::path& path, const std::vector<Packet>& packets) {
  Packet file = {'D', 'K', 'I', 'F', 0, 0, 32, 0, 'A', 'V', '0', '1', 96, 0, 64, 0};
  Append(file, 25, 4);
  Append(file, 1, 4);
  Append(file, packets.size(), 8);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    Append(file, packets[i].size(), 4);
    Append(file, i, 8);
    file.insert(file.end(), packets[i].begin(), packets[i].end());
  }
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  return path;
}

// The file of a stream whose packets `change` has changed.
template <typename Change>
std::filesystem::path Rewritten(const std::string& name, const std::string& arguments, Change change) {
  const auto path = MakeClip(name + "_as_made.ivf", arguments);
  std::vector<Packet> packets = PacketsOf(path);
  EXPECT_EQ(packets.size(), 100U);
  for (Packet& packet : packets) packet = change(packet);
  return WriteIvf(path.parent_path() / (name + ".ivf"), packets);
}

void Append(Packet& packet, std::span<const std::uint8_t> bytes) {
  packet.insert(packet.end(), bytes.begin(), bytes.end());
}

DecodeReport ExpectFramesOfFfmpeg(const std::filesystem::path& path, int frames) {
  const auto expected = ReferenceHashes(path);
  const DecodedClip clip = ReadClip(MediaPath{path.string()}, Frames(frames));
  EXPECT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
  EXPECT_TRUE(clip.report.warnings.empty());
  for (std::size_t i = 0; i < clip.frames.size(); ++i)
    EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]) << "frame " << clip.frames[i].index;
  return clip.report;
}

// LEB128 has a number of up to eight bytes, which may begin with zeros.
TEST(MediaObus, SizesHaveUpToEightBytes) {
  for (const int bytes : {4, 5, 6, 8}) {
    SCOPED_TRACE(bytes);
    const auto path = Rewritten("sizes" + std::to_string(bytes), kSvt, [&](const Packet& packet) {
      Packet changed;
      ForEachObu(packet, [&](const Av1Obu& obu) {
        changed.push_back(obu.whole[0] | 0x02);
        if ((obu.whole[0] & 0x04) != 0) changed.push_back(obu.whole[1]);
        for (int i = 0; i < bytes; ++i) {
          const auto digit = static_cast<std::uint8_t>(std::uint64_t{obu.payload.size()} >> (7 * i) & 0x7f);
          changed.push_back(i + 1 < bytes ? digit | 0x80 : digit);
        }
        Append(changed, obu.payload);
        return true;
      });
      return changed;
    });
    ExpectFramesOfFfmpeg(path, 7);
  }
}

// The header belongs to the packets that follow, so it is decoded although no picture is in its own.
TEST(MediaObus, ASequenceHeaderMayBeAloneInAPacket) {
  const auto first = MakeClip("alone_first.ivf", kSvt);
  std::vector<Packet> packets = PacketsOf(first);
  for (const Packet& packet : PacketsOf(MakeClip("alone_second.ivf", kAom))) {
    Packet header;
    Packet rest;
    ForEachObu(packet, [&](const Av1Obu& obu) {
      Append(rest.empty() && !av1::BeginsPicture(obu.type) ? header : rest, obu.whole);
      return true;
    });
    const bool has_header = header.size() > 2;  // more than a temporal delimiter
    if (has_header) packets.push_back(header);
    packets.push_back(has_header ? rest : packet);
  }
  const auto path = WriteIvf(first.parent_path() / "alone.ivf", packets);
  for (const int frames : {2, 7, 60}) {
    SCOPED_TRACE(frames);
    ExpectFramesOfFfmpeg(path, frames);
  }
}

TEST(MediaObus, AHeaderInEveryPacketDoesNotMakeItsPicturesNeeded) {
  Packet header;
  const auto path = Rewritten("repeated", kSvt, [&](const Packet& packet) {
    constexpr int kTemporalDelimiter = 2;
    Packet begin;
    Packet rest;
    ForEachObu(packet, [&](const Av1Obu& obu) {
      if (obu.type == av1::kSequenceHeader) {
        header.assign(obu.whole.begin(), obu.whole.end());
      } else {
        Append(obu.type == kTemporalDelimiter ? begin : rest, obu.whole);
      }
      return true;
    });
    Append(begin, header);
    Append(begin, rest);
    return begin;
  });
  EXPECT_LT(ExpectFramesOfFfmpeg(path, 3).decoded, 25);
}

TEST(MediaObus, APacketMayHoldHiddenPicturesOnly) {
  const auto path = MakeClip("hidden_alone.mkv", kSvt + " -bsf:v av1_frame_split");
  ExpectFramesOfFfmpeg(path, 7);
}

TEST(MediaObus, PicturesThatAreLeftOutAreNoneThatFailToCome) {
  const auto path =
      MakeClip("far_apart.mkv", "-f lavfi -i testsrc2=s=96x64:r=25:d=60 -c:v libsvtav1 -preset 12 -g 9999");
  ClipRequest request = Frames(2);
  request.limits.max_packets_without_frame = 50;
  const DecodeReport report = ReadClip(MediaPath{path.string()}, request).report;
  EXPECT_EQ(report.frame_count, 1500);
  EXPECT_LT(report.decoded, 50);
}

}  // namespace
}  // namespace cosmos::test
