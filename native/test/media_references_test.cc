// Pictures that no wanted picture needs are left out where the stream says what each needs. The frames stay
// those of the ffmpeg command, which decodes everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fuzz/mutator.h"
#include "media/decode/software_decoder.h"
#include "media/demux/demuxer.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

const std::string kMoving = "-f lavfi -i testsrc2=s=192x144:r=25:d=4 ";
const std::string kOdd = "-f lavfi -i testsrc2=s=147x93:r=25:d=4 -pix_fmt yuv420p10le ";
const std::string kLong = "-f lavfi -i testsrc2=s=96x64:r=50:d=50 ";
// libaom is slow.
const std::string kSmall = "-f lavfi -i testsrc2=s=96x64:r=25:d=4 ";
// FFmpeg seeks past the pictures before zero, so that reading begins again with the file.
const std::string kBeforeZero = " -bsf:v 'setts=ts=TS-floor(0.1/TB)' -avoid_negative_ts disabled";
const std::string kAom = "-c:v libaom-av1 -cpu-used 8 -row-mt 0 -b:v 200k ";

struct Clip {
  std::string file;
  std::string arguments;
};

void PrintTo(const Clip& clip, std::ostream* out) { *out << clip.file; }

class Av1Clip : public testing::TestWithParam<Clip> {
 protected:
  std::filesystem::path path_ = MakeClip(GetParam().file, GetParam().arguments);
};

TEST_P(Av1Clip, HasTheFramesOfDecodingEverything) {
  const auto expected = ReferenceHashes(path_);
  for (const auto& [frames, threads] : {std::pair{1, 1}, {2, 3}, {5, 1}, {8, 3}, {23, 1}}) {
    SCOPED_TRACE(testing::Message() << frames << " frames, " << threads << " threads");
    ClipRequest request = Frames(frames);
    request.threads = threads;
    const DecodedClip clip = ReadClip(MediaPath{path_.string()}, request);
    ASSERT_EQ(clip.report.frame_count, static_cast<std::int64_t>(expected.size()));
    EXPECT_TRUE(clip.report.warnings.empty()) << clip.report.warnings.front();
    for (int i = 0; i < frames; ++i)
      EXPECT_EQ(Hash(clip.images[i]), expected[clip.frames[i].index]) << "frame " << clip.frames[i].index;
  }
}

TEST_P(Av1Clip, HasThemAtEveryTime) {
  const DecodedClip all = ReadClip(MediaPath{path_.string()}, Frames(100));
  for (int first = 0; first < 98; first += 13) {
    SCOPED_TRACE(first);
    ClipRequest request = Frames(2);
    request.start = all.frames[first].pts;
    request.end = all.frames[first + 2].pts;
    const DecodedClip part = ReadClip(MediaPath{path_.string()}, request);
    ASSERT_EQ(part.report.frame_count, 2);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(Hash(part.images[i]), Hash(all.images[first + i]));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Media, Av1Clip,
    testing::Values(
        Clip{"svt_pyramid.mp4", kMoving + "-c:v libsvtav1 -preset 12 -g 250"},
        Clip{"svt_pyramid.webm", kMoving + "-c:v libsvtav1 -preset 8 -g 60"},
        Clip{"svt_low_delay.mp4", kMoving + "-c:v libsvtav1 -preset 10 -g 60 -svtav1-params pred-struct=1"},
        Clip{"svt_levels.mkv", kMoving + "-c:v libsvtav1 -preset 10 -svtav1-params hierarchical-levels=5"},
        Clip{"svt_open.mp4", kMoving + "-c:v libsvtav1 -preset 10 -g 20 -svtav1-params irefresh-type=1"},
        Clip{"svt_grain.mp4", kMoving + "-c:v libsvtav1 -preset 10 -g 100 -svtav1-params film-grain=20"},
        Clip{"svt_screen.mp4", kMoving + "-c:v libsvtav1 -preset 8 -g 100 -svtav1-params scm=1"},
        Clip{
            "svt_fragments.mp4",
            kMoving + "-c:v libsvtav1 -preset 12 -g 25 -movflags frag_keyframe+empty_moov+default_base_moof"},
        Clip{"svt.ivf", kMoving + "-c:v libsvtav1 -preset 12 -g 50"},
        Clip{"svt.obu", kMoving + "-c:v libsvtav1 -preset 12 -g 25"},
        Clip{"svt_before_zero.mkv", kMoving + "-c:v libsvtav1 -preset 12 -g 25" + kBeforeZero},
        Clip{"aom_before_zero.webm", kSmall + kAom + "-g 20" + kBeforeZero},
        Clip{"svt_odd.mkv", kOdd + "-c:v libsvtav1 -preset 12 -g 100"},
        Clip{"aom_pyramid.mp4", kSmall + kAom + "-g 100 -lag-in-frames 25"},
        Clip{"aom_two_pass.mkv", kSmall + kAom + "-g 40 -lag-in-frames 35 -arnr-strength 4"},
        Clip{"aom_realtime.mp4", kSmall + kAom + "-usage realtime -g 100 -lag-in-frames 0"},
        Clip{"aom_resilient.mkv", kSmall + kAom + "-g 100 -aom-params error-resilient=1"},
        Clip{"aom_forward_keyframes.mkv", kSmall + kAom + "-g 33 -aom-params fwd-kf-dist=16"},
        Clip{"aom_without_hints.mkv", kSmall + kAom + "-g 100 -aom-params enable-order-hint=0"},
        Clip{"aom_reduced_references.mkv", kSmall + kAom + "-g 100 -aom-params reduced-reference-set=1"},
        Clip{"aom_few_references.mkv", kSmall + kAom + "-g 100 -aom-params max-reference-frames=3"},
        Clip{"aom_low_pyramid.mkv", kSmall + kAom + "-g 100 -aom-params gf-max-pyr-height=2"},
        Clip{"aom_tiles.mkv", kMoving + kAom + "-g 100 -tiles 2x2 -aom-params num-tile-groups=2"},
        Clip{"aom_intra.mkv", kSmall + kAom + "-g 1"},
        Clip{"rav1e.mp4", kSmall + "-c:v librav1e -speed 10 -g 60"}),
    [](const auto& clip) {
      std::string name = clip.param.file;
      std::ranges::replace(name, '.', '_');
      return name;
    });

TEST(MediaReferences, FewPicturesOfAPyramidAreDecoded) {
  for (const std::string container : {"mp4", "mkv"}) {
    SCOPED_TRACE(container);
    const auto path = MakeClip("few." + container, kMoving + "-c:v libsvtav1 -preset 12 -g 250");
    const DecodeReport report = ReadClip(MediaPath{path.string()}, Frames(3)).report;
    EXPECT_EQ(report.frame_count, 100);
    EXPECT_LT(report.decoded, 20);
    EXPECT_EQ(report.decoded + report.discarded, 100);
  }
}

// Windows are one run over all of a video, which is longer than what is read ahead.
class LongAv1 : public testing::TestWithParam<Clip> {
 protected:
  std::filesystem::path path_ = MakeClip(GetParam().file, kLong + GetParam().arguments);
};

TEST_P(LongAv1, HasTheFramesOfDecodingEverythingInWindows) {
  const auto expected = ReferenceHashes(path_);
  ASSERT_EQ(expected.size(), 2500U);
  const double rate = path_.extension() == ".obu" ? 25 : 50;  // FFmpeg's, where a file has no times
  for (const int threads : {1, 3}) {
    SCOPED_TRACE(threads);
    ClipRequest request = Frames(2);
    request.threads = threads;
    request.keep_images = true;
    const auto clips =
        ReadClips(MediaPath{path_.string()}, request, Windows{.seconds = 100 / rate, .stride = 100 / rate});
    ASSERT_EQ(clips.size(), 25U);
    std::int64_t decoded = 0;
    for (const DecodedClip& clip : clips) {
      decoded += clip.report.decoded;
      for (std::size_t i = 0; i < clip.frames.size(); ++i)
        EXPECT_EQ(Hash(clip.images[i]), expected[std::lround(clip.frames[i].pts * rate)]);
    }
    EXPECT_LT(decoded, 1000);
  }
}

INSTANTIATE_TEST_SUITE_P(Media, LongAv1,
                         testing::Values(Clip{"one_keyframe.mp4", "-c:v libsvtav1 -preset 12 -g 9999"},
                                         Clip{"keyframes.webm", "-c:v libsvtav1 -preset 12 -g 100"},
                                         Clip{"never_sought.obu", "-c:v libsvtav1 -preset 12 -g 400"}),
                         [](const auto& clip) {
                           return clip.param.file.substr(0, clip.param.file.find('.'));
                         });

TEST(MediaReferences, TheFirstWindowOfALongVideoDoesNotWaitForItsEnd) {
  // Opening it reads the samples of few bytes, so it has large ones.
  const auto path =
      MakeClip("long.mp4", kLong + "-vf noise=alls=40:allf=t -c:v libsvtav1 -preset 12 -g 9999 -crf 20");
  ClipRequest request = Frames(4);
  const auto cancel = std::make_shared<CancelToken>();
  auto reader =
      ClipReader::Open(MediaPath{path.string()}, request, Windows{.seconds = 1, .stride = 1}, cancel);
  ASSERT_TRUE(reader.ok());
  const auto first = reader.value()->Next(cancel);
  ASSERT_TRUE(first.ok() && first.value());
  EXPECT_LT((*first.value()).report.bytes_read,
            static_cast<std::int64_t>(std::filesystem::file_size(path)) / 2);
}

// Where something that is needed is damaged, everything is decoded, as the whole video would be.
TEST(MediaReferences, DamageGivesTheFramesOfDecodingEverything) {
  const auto path = MakeClip("to_damage.mkv", kMoving + "-c:v libsvtav1 -preset 12 -g 50");
  const std::vector<std::uint8_t> intact = ReadFile(path);
  fuzz::Mutator mutator(7);
  int damaged = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    std::vector<std::uint8_t> bytes = intact;
    const std::size_t begin = intact.size() / 5 + mutator.Below(intact.size() * 3 / 4);
    for (std::size_t at = begin; at < std::min(begin + 40, bytes.size()); ++at)
      bytes[at] = static_cast<std::uint8_t>(mutator.Below(256));
    const auto cancel = std::make_shared<CancelToken>();
    const auto read = [&](int frames) {
      ClipRequest request = Frames(frames);
      request.keep_images = true;
      auto reader = ClipReader::Open(Borrow(bytes), request, std::nullopt, cancel);
      return reader.ok() ? reader.value()->Next(cancel)
                         : Result<std::optional<DecodedClip>>(reader.TakeStatus());
    };
    auto all = read(100);
    auto some = read(7);
    if (!all.ok() || !some.ok() || (*all.value()).report.frame_count != 100) continue;
    if ((*some.value()).report.frame_count != 100) continue;
    const DecodedClip& whole = *all.value();
    const DecodedClip& part = *some.value();
    damaged += whole.report.damaged > 0 ? 1 : 0;
    for (std::size_t i = 0; i < part.frames.size(); ++i) {
      const auto& frame = part.frames[i];
      const auto same = std::ranges::find(whole.frames, frame.index, &FrameInfo::index);
      ASSERT_NE(same, whole.frames.end()) << frame.index;
      EXPECT_EQ(Hash(part.images[i]), Hash(whole.images[same - whole.frames.begin()])) << frame.index;
    }
  }
  EXPECT_GT(damaged, 5);
}

// The packets, of which a quarter are damaged.
std::vector<ff::Packet> Damaged(const std::vector<ff::Packet>& packets, fuzz::Mutator& mutator) {
  std::vector<ff::Packet> copies;
  for (const ff::Packet& packet : packets) {
    ff::Packet copy(av_packet_clone(packet.get()));
    if (mutator.Below(4) == 0 && av_packet_make_writable(copy.get()) >= 0) {
      const auto size = static_cast<std::size_t>(copy->size);
      const std::size_t begin = mutator.Below(size);
      for (std::size_t at = begin; at < std::min(begin + 30, size); ++at)
        copy->data[at] = static_cast<std::uint8_t>(mutator.Below(256));
    }
    copies.push_back(std::move(copy));
  }
  return copies;
}

// Sends the first `count` packets, and returns how many pictures came out.
int Decode(SoftwareDecoder& decoder, const std::vector<ff::Packet>& packets, std::size_t count, bool drains) {
  int pictures = 0;
  const auto receive = [&] {
    for (auto picture = decoder.Receive(); picture.ok() && picture.value(); picture = decoder.Receive())
      ++pictures;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const ff::Packet packet(av_packet_clone(packets[i].get()));
    EXPECT_TRUE(decoder.Send(*packet, static_cast<int>(i), true).ok());
    receive();
  }
  if (!drains) return pictures;
  EXPECT_TRUE(decoder.Drain().ok());
  receive();
  return pictures;
}

// In one of a thousand such cases dav1d 1.0 waits for ever if it is only flushed; among these 20 is one.
TEST(MediaReferences, ADecoderThatIsResetAmongDamageGoesOn) {
  const auto path = MakeClip("to_reset.mkv", kSmall + "-c:v libsvtav1 -preset 12 -g 50");
  const JobGuard guard(300, std::int64_t{1} << 31);
  auto demuxer = Demuxer::Open(MediaPath{path.string()}, {}, guard);
  ASSERT_TRUE(demuxer.ok()) << demuxer.status().message();
  const std::vector<ff::Packet> packets = PacketsOf(path);
  ASSERT_EQ(packets.size(), 100U);
  std::packaged_task<void()> work([&] {
    for (int round = 340; round < 360; ++round) {
      SCOPED_TRACE(round);
      fuzz::Mutator mutator(round);
      const auto damaged = Damaged(packets, mutator);
      SoftwareDecoderOptions options;
      options.threads = 2 + static_cast<int>(mutator.Below(3));
      auto decoder = SoftwareDecoder::Open(demuxer.value()->parameters(), options);
      ASSERT_TRUE(decoder.ok());
      Decode(*decoder.value(), damaged, 1 + mutator.Below(packets.size()), /*drains=*/false);
      decoder.value()->Reset();
      Decode(*decoder.value(), damaged, packets.size(), /*drains=*/true);
      decoder.value()->Reset();
      EXPECT_EQ(Decode(*decoder.value(), packets, packets.size(), /*drains=*/true), 100);
    }
  });
  auto end = work.get_future();
  std::thread thread(std::move(work));
  if (end.wait_for(std::chrono::minutes(2)) != std::future_status::ready) {
    std::cerr << "a decoder waits for ever" << std::endl;
    std::abort();  // nothing can end its thread
  }
  thread.join();
}

}  // namespace
}  // namespace cosmos::test
