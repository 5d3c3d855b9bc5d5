// Containers that declare wrongly, or not at all, which pictures they hold and in which order. The ffmpeg
// command, which decodes the whole file, is the oracle. Every picture of the source shows its number, so all
// differ.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <span>

#include "media/bitstream/nal_units.h"
#include "media/scan/window_plan.h"
#include "media_support.h"
#include "remux.h"

namespace cosmos::test {
namespace {

const std::string kMoving = "-f lavfi -i testsrc2=s=192x144:r=25:d=4 ";
const std::string kX264 = kMoving + "-c:v libx264 -bf 3 -b_strategy 0 -g 20 -sc_threshold 0 ";
const std::string kX265Options = "-c:v libx265 -x265-params log-level=none:bframes=3:b-adapt=0:keyint=20";
const std::string kX265 = kMoving + kX265Options;

struct Oddity {
  std::string name;
  std::function<std::filesystem::path(const std::string& name)> make;
  // Some shown pictures refer to others that are not in the file, which FFmpeg only reports in its log.
  bool leans = false;
};

void PrintTo(const Oddity& oddity, std::ostream* out) { *out << oddity.name; }

std::filesystem::path Base(const std::string& codec) {
  if (codec == "h264") return MakeClip("index_h264.mp4", kX264);
  if (codec == "h264_p") return MakeClip("index_h264_p.mp4", kMoving + "-c:v libx264 -bf 0 -g 20");
  if (codec == "h264_slices") return MakeClip("index_h264_slices.mp4", kX264 + "-slices 4");
  // Scene changes close to a keyframe become intra pictures across which others are predicted.
  if (codec == "h264_scenes") {
    return MakeClip("index_h264_scenes.mp4",
                    "-f lavfi -i testsrc2=s=192x144:r=25:d=4,negate=enable='lt(mod(n\\,8)\\,4)' "
                    "-c:v libx264 -bf 2 -refs 4 -g 60 -keyint_min 60");
  }
  if (codec == "h264_open") return MakeClip("index_h264_open.mp4", kX264 + "-x264opts open-gop=1");
  // With parameter sets before every keyframe, not only before IDR pictures.
  if (codec == "h264_stream") return MakeClip("index_h264_open.ts", kX264 + "-x264opts open-gop=1");
  if (codec == "hevc_stream") return MakeClip("index_hevc_open.ts", kX265 + ":open-gop=1");
  if (codec == "hevc") return MakeClip("index_hevc.mp4", kX265 + ":open-gop=0");
  if (codec == "hevc_open") return MakeClip("index_hevc_open.mp4", kX265 + ":open-gop=1");
  if (codec == "hevc_radl") return MakeClip("index_hevc_radl.mp4", kX265 + ":open-gop=0:radl=2");
  if (codec == "vp8") return MakeClip("index_vp8.webm", kMoving + "-c:v libvpx -g 20 -b:v 200k");
  if (codec == "vp9")
    return MakeClip("index_vp9.webm", kMoving + "-c:v libvpx-vp9 -g 20 -b:v 200k -cpu-used 8");
  if (codec == "av1") return MakeClip("index_av1.mkv", kMoving + "-c:v libsvtav1 -preset 12 -g 20");
  if (codec == "mpeg2") return MakeClip("index_mpeg2.ts", kMoving + "-c:v mpeg2video -bf 2 -g 12");
  if (codec == "wmv1") return MakeClip("index_wmv1.mkv", kMoving + "-c:v wmv1 -g 20 -q:v 3");
  if (codec == "wmv2") return MakeClip("index_wmv2.mkv", kMoving + "-c:v wmv2 -g 20 -q:v 3");
  if (codec == "theora") return MakeClip("index_theora.mkv", kMoving + "-c:v libtheora -g 20 -q:v 6");
  if (codec == "ffv1") return MakeClip("index_ffv1.mkv", kMoving + "-c:v ffv1 -level 3 -g 20");
  if (codec == "mpeg4") return MakeClip("index_mpeg4.mp4", kMoving + "-c:v mpeg4 -bf 2 -g 20");
  return MakeClip("index_xvid.avi", kMoving + "-c:v libxvid -bf 2 -g 20 -q:v 3");
}

// Every packet is flagged as a keyframe.
Oddity AllKeys(const std::string& codec, const std::string& container) {
  return {"keys_" + codec + "." + container, [codec](const std::string& name) {
            return Remux(Base(codec), name, [](AVPacket& packet, int, const auto& write) {
              packet.flags |= AV_PKT_FLAG_KEY;
              write(packet);
            });
          }};
}

// Some packets are wrongly flagged as keyframes, and some keyframes are not flagged.
Oddity SomeKeys(const std::string& codec, const std::string& container) {
  return {"some_keys_" + codec + "." + container, [codec](const std::string& name) {
            return Remux(Base(codec), name, [](AVPacket& packet, int number, const auto& write) {
              if (number % 7 == 3) packet.flags |= AV_PKT_FLAG_KEY;
              if (number % 40 == 20) packet.flags &= ~AV_PKT_FLAG_KEY;
              write(packet);
            });
          }};
}

// The first keyframe is not flagged.
Oddity FirstIsNoKey(const std::string& codec, const std::string& container) {
  return {"first_" + codec + "." + container, [codec](const std::string& name) {
            return Remux(Base(codec), name, [](AVPacket& packet, int number, const auto& write) {
              if (number == 0) packet.flags &= ~AV_PKT_FLAG_KEY;
              write(packet);
            });
          }};
}

// The stream begins with its packet `first`.
Oddity Cut(const std::string& codec, int first, const std::string& container) {
  return {"cut_" + std::to_string(first) + "_" + codec + "." + container,
          [=](const std::string& name) {
            return Remux(Base(codec), name, [&](AVPacket& packet, int number, const auto& write) {
              if (number >= first) write(packet);
            });
          },
          codec == "hevc"};
}

// A segment that begins with the third keyframe, as in DASH and HLS.
Oddity Segment(const std::string& codec, const std::string& container) {
  return {"segment_" + codec + "." + container, [codec](const std::string& name) {
            int keyframes = 0;
            return Remux(Base(codec), name, [&](AVPacket& packet, int, const auto& write) {
              keyframes += (packet.flags & AV_PKT_FLAG_KEY) != 0 ? 1 : 0;
              if (keyframes >= 3) write(packet);
            });
          }};
}

// The container stores decoding times only.
Oddity DecodeTimes(const std::string& codec, const std::string& container) {
  return {"decode_times_" + codec + "." + container, [codec](const std::string& name) {
            return Remux(Base(codec), name, [](AVPacket& packet, int, const auto& write) {
              packet.pts = packet.dts;
              write(packet);
            });
          }};
}

// Packets without a picture come between pictures.
Oddity WithoutPicture(const std::string& codec, const std::string& container,
                      std::vector<std::uint8_t> unit) {
  return {"without_picture_" + std::to_string(unit.size()) + "_" + codec + "." + container,
          [codec, unit](const std::string& name) {
            return Remux(Base(codec), name, [&](AVPacket& packet, int number, const auto& write) {
              const ff::Packet more(av_packet_alloc());
              av_new_packet(more.get(), static_cast<int>(unit.size()));
              std::ranges::copy(unit, more->data);
              more->pts = packet.pts + packet.duration / 3;
              more->dts = packet.dts + packet.duration / 3;
              write(packet);
              if (number % 2 == 0) write(*more);
            });
          }};
}

// MV-HEVC, as phones record stereo: units of a second layer, which decoders of the base view ignore, follow
// each picture.
Oddity SecondView(const std::string& codec, const std::string& container) {
  return {"second_view_" + codec + "." + container, [codec](const std::string& name) {
            return Remux(Base(codec), name, [](AVPacket& packet, int, const auto& write) {
              constexpr int kLength = 4;
              constexpr std::uint8_t kFirstLayer = 1 << 3;  // nuh_layer_id
              const std::vector<std::uint8_t> base(packet.data, packet.data + packet.size);
              std::vector<std::uint8_t> more;
              ForEachUnit(base, kLength, [&](std::span<const std::uint8_t> unit) {
                if ((unit[0] >> 1 & 0x3f) > hevc::kLastVcl) return true;
                for (int shift = 24; shift >= 0; shift -= 8)
                  more.push_back(static_cast<std::uint8_t>(unit.size() >> shift));
                more.insert(more.end(), unit.begin(), unit.end());
                more[more.size() - unit.size() + 1] |= kFirstLayer;
                return true;
              });
              const int size = packet.size;
              ASSERT_EQ(av_grow_packet(&packet, static_cast<int>(more.size())), 0);
              std::ranges::copy(more, packet.data + size);
              write(packet);
            });
          }};
}

// More pictures than the container's clock can distinguish.
Oddity Encoded(const std::string& file, const std::string& codec) {
  return {file, [codec](const std::string& name) {
            return MakeClip(name, "-f lavfi -i testsrc2=s=192x144:r=2000:d=0.05 " + codec);
          }};
}

Oddity Converted(const std::string& codec, const std::string& file,
                 const std::string& arguments = "-c copy") {
  return {file, [=](const std::string& name) {
            return MakeClip(name, "-i '" + Base(codec).string() + "' -map 0:v " + arguments);
          }};
}

class OddClip : public testing::TestWithParam<Oddity> {
 protected:
  std::filesystem::path path_ = GetParam().make(GetParam().name);
};

TEST_P(OddClip, HasTheFramesThatFfmpegShows) {
  const std::vector<std::string> expected = ReferenceHashes(path_);
  ASSERT_GT(expected.size(), 20U);
  for (const int frames : {1, 8, 33}) {
    for (const int threads : {1, 3}) {
      SCOPED_TRACE(testing::Message() << frames << " frames, " << threads << " threads");
      ClipRequest request = Frames(frames);
      request.threads = threads;
      const DecodedClip clip = ReadClip(MediaPath{path_.string()}, request);
      ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
      const auto chosen = ChooseFrames(static_cast<int>(expected.size()), frames);
      for (int i = 0; i < frames; ++i) {
        EXPECT_EQ(clip.frames[i].index, chosen[i]);
        EXPECT_EQ(Hash(clip.images[i]), expected[chosen[i]]) << "frame " << chosen[i];
        EXPECT_GE(clip.frames[i].pts, clip.frames[std::max(i - 1, 0)].pts);
      }
      EXPECT_EQ(clip.report.warnings.empty(), !GetParam().leans)
          << (GetParam().leans ? "nothing is told" : clip.report.warnings.front());
    }
  }
}

TEST_P(OddClip, HasTheSameFramesWithinARange) {
  const auto count = static_cast<int>(ReferenceHashes(path_).size());
  const DecodedClip all = ReadClip(MediaPath{path_.string()}, Frames(count));
  const double last = all.frames.back().pts;
  for (const auto& [start, end] : std::vector<std::pair<double, double>>{
           {0, 0.12 * last}, {0.13 * last, 0.33 * last}, {0.28 * last, 99}}) {
    SCOPED_TRACE(testing::Message() << start << " to " << end);
    ClipRequest request = Frames(5);
    request.start = start;
    request.end = end;
    const DecodedClip part = ReadClip(MediaPath{path_.string()}, request);
    std::vector<std::size_t> in_range;
    for (std::size_t i = 0; i < all.frames.size(); ++i) {
      if (all.frames[i].pts >= start - 1e-6 && all.frames[i].pts < end - 1e-6) in_range.push_back(i);
    }
    ASSERT_EQ(part.report.frame_count, static_cast<std::int64_t>(in_range.size()));
    const auto chosen = ChooseFrames(static_cast<int>(in_range.size()), 5);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(Hash(part.images[i]), Hash(all.images[in_range[chosen[i]]]));
  }
}

const std::vector<std::uint8_t> kDelimiter = {0, 0, 0, 2, 9, 0xf0};
const std::vector<std::uint8_t> kMessage = {0, 0, 0, 7, 6, 5, 3, 'a', 'b', 'c', 0x80};
std::vector<std::uint8_t> Filler() {
  std::vector<std::uint8_t> unit = {0, 0, 0, 102, 12};
  unit.resize(105, 0xff);
  unit.push_back(0x80);
  return unit;
}

INSTANTIATE_TEST_SUITE_P(
    Media, OddClip,
    testing::Values(
        AllKeys("h264", "mp4"), AllKeys("h264", "mkv"), AllKeys("h264", "flv"), AllKeys("h264_p", "mp4"),
        AllKeys("h264_slices", "mp4"), AllKeys("h264_scenes", "mp4"), AllKeys("h264_scenes", "mkv"),
        AllKeys("h264_open", "mp4"), AllKeys("hevc", "mp4"), AllKeys("hevc", "mkv"),
        AllKeys("hevc_open", "mkv"), AllKeys("vp8", "mkv"), AllKeys("vp9", "mp4"), AllKeys("vp9", "mkv"),
        AllKeys("av1", "mp4"), AllKeys("av1", "mkv"), AllKeys("mpeg2", "mkv"), AllKeys("mpeg2", "mp4"),
        AllKeys("mpeg4", "mp4"), AllKeys("mpeg4", "mkv"), AllKeys("mpeg4", "avi"), AllKeys("wmv1", "mkv"),
        AllKeys("wmv2", "mkv"), AllKeys("theora", "mkv"), AllKeys("ffv1", "mkv"), SomeKeys("h264", "mp4"),
        SomeKeys("h264_p", "mp4"), SomeKeys("h264", "mkv"), SomeKeys("hevc", "mp4"),
        SomeKeys("hevc_open", "mp4"), SomeKeys("vp9", "mp4"), SomeKeys("av1", "mkv"),
        SomeKeys("mpeg4", "mp4"), FirstIsNoKey("h264", "mp4"), FirstIsNoKey("h264", "mkv"),
        FirstIsNoKey("hevc_open", "mp4"), FirstIsNoKey("vp9", "mp4"), FirstIsNoKey("mpeg4", "mp4"),
        Segment("h264_open", "mp4"), Segment("h264_open", "mkv"), Segment("h264_open", "flv"),
        Segment("h264_stream", "ts"), Segment("hevc_open", "mp4"), Segment("hevc_open", "mkv"),
        Segment("hevc_stream", "ts"), Segment("hevc_radl", "mp4"), Segment("hevc_radl", "mkv"),
        Segment("mpeg2", "ts"), Segment("mpeg2", "mkv"), Segment("mpeg2", "mp4"), Segment("mpeg4", "mp4"),
        Segment("vp9", "mp4"), DecodeTimes("h264", "mp4"), DecodeTimes("h264", "mkv"),
        DecodeTimes("h264", "flv"), DecodeTimes("hevc", "mp4"), DecodeTimes("hevc", "mkv"),
        DecodeTimes("mpeg2", "mkv"), DecodeTimes("mpeg4", "mp4"), WithoutPicture("h264", "mp4", kDelimiter),
        WithoutPicture("h264", "mkv", kMessage), WithoutPicture("h264", "flv", kDelimiter),
        WithoutPicture("h264", "mp4", Filler()), WithoutPicture("hevc", "mp4", {0, 0, 0, 3, 0x46, 1, 0x50}),
        SecondView("hevc", "mp4"), SecondView("hevc", "mkv"), SecondView("hevc", "ts"),
        SecondView("hevc_open", "mp4"), Converted("xvid", "packed.avi"), Converted("xvid", "packed.mp4"),
        Converted("xvid", "packed.mkv", "-c copy -bsf:v setts=pts=DTS"),
        Encoded("ties.mkv", "-c:v libx264 -bf 3 -g 40"), Encoded("ties_hevc.mkv", kX265Options),
        Cut("h264", 3, "mp4"), Cut("h264", 25, "ts"), Cut("h264_stream", 25, "ts"),
        Cut("h264_open", 25, "mkv"), Cut("hevc", 3, "mkv"), Cut("mpeg2", 5, "ts"), Cut("vp9", 3, "mp4")),
    [](const auto& tested) {
      std::string name = tested.param.name;
      std::ranges::replace_if(
          name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
      return name;
    });

}  // namespace
}  // namespace cosmos::test
