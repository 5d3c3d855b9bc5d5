// Mutated media end in a clip or in a typed error, within bounded time and memory. The sanitizers watch. `npm
// run fuzz` looks for more with libFuzzer; what it finds becomes a test of its own.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fuzz/mutator.h"
#include "hostile_cost.h"
#include "media_support.h"

namespace cosmos::test {
namespace {

using File = std::vector<std::uint8_t>;

constexpr int kOfEachVideo = 110;
constexpr int kOfEachPicture = 92;

DecodeLimits SmallLimits() {
  return {.max_pixels = 256 * 256,
          .max_streams = 4,
          .max_packets_without_frame = 500,
          .max_wall_seconds = 20,
          .max_bytes = 64 << 20};
}

void ExpectTyped(const Status& status) {
  static const std::set<StatusCode> typed = {StatusCode::kOk, StatusCode::kMedia, StatusCode::kLimit,
                                             StatusCode::kEncrypted};
  EXPECT_TRUE(typed.contains(status.code())) << StatusCodeName(status.code()) << ": " << status.message();
}

// Calls `read` with `count` mutations of each file.
template <typename Read>
void Mutate(const std::vector<std::filesystem::path>& paths, int count, Read read) {
  std::vector<File> files;
  for (const auto& path : paths) files.push_back(ReadFile(path));
  fuzz::Mutator mutator(15);
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (int round = 0; round < count; ++round) {
      SCOPED_TRACE(paths[i].filename().string() + " round " + std::to_string(round));
      File bytes = mutator.Mutate(files[i], files[mutator.Below(files.size())]);
      bytes.shrink_to_fit();  // so that AddressSanitizer sees a read after the end
      const Cost cost;
      read(bytes, round);
    }
  }
}

TEST(MutatedMedia, VideosEndInAClipOrATypedError) {
  const std::string source = "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 -threads 1 ";
  const std::vector<std::filesystem::path> paths = {
      MakeClip("mutated.mp4", source + "-c:v libx264 -bf 2 -g 5"),
      MakeClip("mutated_fragments.mp4", source + "-c:v libx264 -g 5 -movflags frag_keyframe+empty_moov"),
      MakeClip("mutated_hevc.mp4",
               source + "-c:v libx265 -x265-params log-level=none:pools=none:frame-threads=1"),
      MakeClip("mutated_mpeg4.mov", source + "-c:v mpeg4 -bf 2"),
      MakeClip("mutated.webm", source + "-c:v libvpx-vp9 -cpu-used 8 -metadata a=b"),
      MakeClip("mutated_vp8.mkv", source + "-c:v libvpx -g 5"),
      MakeClip("mutated_av1.mkv", source + "-c:v libsvtav1 -preset 10"),
      MakeClip("mutated.avi", source + "-c:v mjpeg -q:v 20 -metadata title=b"),
      MakeClip("mutated.flv", source + "-c:v libx264 -g 5 -flvflags add_keyframe_index"),
      MakeClip("mutated.ts", source + "-c:v libx264 -bf 2 -g 5"),
      MakeClip("mutated.mpg", source + "-c:v mpeg2video -bf 2"),
      MakeClip("mutated.wmv", source + "-c:v wmv2 -f asf -metadata title=b"),
      MakeClip("mutated.ogv", source + "-c:v libtheora"),
      MakeClip("mutated.h264", source + "-c:v libx264 -bf 2 -g 5"),
  };
  Mutate(paths, kOfEachVideo, [](const File& bytes, int round) {
    ClipRequest request = Frames(2 + round % 3);
    request.limits = SmallLimits();
    if (round % 4 == 0) request.frame_tolerance = 0.1;
    if (round % 5 == 0) request.start = 0.12;
    const auto cancel = std::make_shared<CancelToken>();
    std::optional<Windows> windows;
    if (round % 3 == 0) windows = Windows{.seconds = 0.2, .stride = 0.1};
    auto reader = ClipReader::Open(Borrow(bytes), request, windows, cancel);
    if (!reader.ok()) return ExpectTyped(reader.status());
    for (int i = 0; i < 8; ++i) {
      auto clip = reader.value()->Next(cancel);
      if (!clip.ok()) return ExpectTyped(clip.status());
      if (!clip.value()) return;
      EXPECT_EQ(static_cast<int>(clip.value()->frames.size()), request.shape.frames);
    }
  });
}

TEST(MutatedMedia, PicturesEndInAClipOrATypedError) {
  const std::string source = "-f lavfi -i testsrc2=s=48x32:r=1:d=1 -frames:v 1 ";
  const std::vector<std::filesystem::path> paths = {
      MakeClip("mutated.jpg", source + "-q:v 10"),
      MakeClip("mutated.png", source + "-pix_fmt rgba"),
      MakeClip("mutated_palette.png", source + "-pix_fmt pal8"),
      MakeClip("mutated.webp", source + "-c:v libwebp -quality 40"),
      MakeClip("mutated_lossless.webp", source + "-c:v libwebp -lossless 1"),
  };
  Mutate(paths, kOfEachPicture, [](const File& bytes, int) {
    ClipRequest request = Frames(1);
    request.limits = SmallLimits();
    const std::vector<StillImage> pictures = {Borrow(bytes)};
    const auto clip = ClipFromImages(pictures, request, std::make_shared<CancelToken>());
    if (!clip.ok()) ExpectTyped(clip.status());
  });
}

}  // namespace
}  // namespace cosmos::test
