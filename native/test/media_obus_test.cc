// AV1 whose packets are written in unusual but valid ways. The frames are those of the ffmpeg command.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "containers.h"
#include "media/bitstream/av1_headers.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

using Packet = std::vector<std::uint8_t>;

const std::string kMoving = "-f lavfi -i testsrc2=s=96x64:r=25:d=4 ";
const std::string kSvt = kMoving + "-c:v libsvtav1 -preset 12 -g 50";
// Another sequence header than that of kSvt.
const std::string kAom = kMoving + "-c:v libaom-av1 -cpu-used 8 -row-mt 0 -b:v 200k -g 50";

std::vector<Packet> BytesOfPackets(const std::filesystem::path& path) {
  std::vector<Packet> packets;
  for (const ff::Packet& packet : PacketsOf(path))
    packets.emplace_back(packet->data, packet->data + packet->size);
  return packets;
}

void Append(Packet& packet, std::span<const std::uint8_t> bytes) {
  packet.insert(packet.end(), bytes.begin(), bytes.end());
}

void Append(Packet& packet, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) packet.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

// A file of the packets as they are, in IVF, which stores them with a size and a time only.
std::filesystem::path WriteIvf(const std::string& name, const std::vector<Packet>& packets) {
  Packet file = {'D', 'K', 'I', 'F', 0, 0, 32, 0, 'A', 'V', '0', '1', 96, 0, 64, 0};
  Append(file, 25, 4);
  Append(file, 1, 4);
  Append(file, packets.size(), 8);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    Append(file, packets[i].size(), 4);
    Append(file, i, 8);
    Append(file, packets[i]);
  }
  return WriteFile(name + ".ivf", file);
}

// The file of a stream whose packets `change` has changed.
template <typename Change>
std::filesystem::path Rewritten(const std::string& name, const std::string& arguments, Change change) {
  std::vector<Packet> packets = BytesOfPackets(MakeClip(name + "_as_made.ivf", arguments));
  EXPECT_EQ(packets.size(), 100U);
  for (Packet& packet : packets) packet = change(packet);
  return WriteIvf(name, packets);
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
  std::vector<Packet> packets = BytesOfPackets(MakeClip("alone_first.ivf", kSvt));
  for (const Packet& packet : BytesOfPackets(MakeClip("alone_second.ivf", kAom))) {
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
  const auto path = WriteIvf("alone", packets);
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
