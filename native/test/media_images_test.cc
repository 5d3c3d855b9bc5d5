// Clips of still images.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "media_support.h"

namespace cosmos::test {
namespace {

DecodedClip ClipOf(const std::vector<StillImage>& images, int frames) {
  ClipRequest request = Frames(frames);
  request.keep_images = true;
  auto clip = ClipFromImages(images, request, std::make_shared<CancelToken>());
  EXPECT_TRUE(clip.ok()) << clip.status().message();
  return clip.ok() ? std::move(clip).value() : DecodedClip();
}

Status ErrorOf(const std::vector<StillImage>& images, const ClipRequest& request = {}) {
  auto clip = ClipFromImages(images, request, std::make_shared<CancelToken>());
  return clip.ok() ? Status() : clip.TakeStatus();
}

TEST(StillImages, DecodeAsTheFfmpegCommandDoes) {
  const std::string source = "-f lavfi -i testsrc2=s=100x72,crop=99:71:0:0:exact=1 -frames:v 1 ";
  const struct {
    std::string file;
    std::string arguments;
    std::string range;
    bool yuv;
  } cases[] = {{"still.jpg", "-pix_fmt yuvj420p -q:v 3", "pc", true},
               {"still.png", "-pix_fmt rgb24", "pc", false},
               {"gray.png", "-pix_fmt gray", "pc", false},
               {"alpha.png", "-pix_fmt rgba", "pc", false},
               {"palette.png", "-pix_fmt pal8", "pc", false},
               {"lossy.webp", "-c:v libwebp -lossless 0", "tv", true},
               {"lossless.webp", "-c:v libwebp -lossless 1", "pc", false}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.file);
    const auto path = MakeClip(test.file, source + test.arguments);
    const auto bytes = ReadFile(path);
    const DecodedClip clip = ClipOf({Borrow(bytes)}, 2);
    const auto expected = ReferenceHashes(path, {.range = test.range, .yuv = test.yuv});
    ASSERT_EQ(expected.size(), 1U);
    EXPECT_EQ(Hash(clip.images.at(0)), expected[0]);
    EXPECT_EQ(Hash(clip.images.at(1)), expected[0]);
    EXPECT_EQ(clip.report.decoder, "image");
    EXPECT_EQ(clip.report.decoded, 1);
    EXPECT_EQ(clip.report.width, 99);
  }
}

// Cases where the ffmpeg command is one too bright: full-range 4:4:4, and 16 bits.
TEST(StillImages, HaveTheLevelsOfTheStandards) {
  const std::string source = "-f lavfi -i testsrc2=s=98x71 -frames:v 1 ";
  const auto raw = [](const std::filesystem::path& path, const std::string& format) {
    return RunShell("ffmpeg -v error -i '" + path.string() + "' -f rawvideo -pix_fmt " + format + " -")
        .value();
  };
  const auto deep = MakeClip("deep.png", source + "-pix_fmt rgb48be");
  const auto deep_bytes = ReadFile(deep);
  const DecodedClip deep_clip = ClipOf({Borrow(deep_bytes)}, 1);
  const std::string samples = raw(deep, "rgb48be");
  ASSERT_EQ(samples.size(), 2 * deep_clip.images.at(0).data.size());
  for (std::size_t i = 0; i < deep_clip.images[0].data.size(); ++i) {
    const int sample =
        static_cast<std::uint8_t>(samples[2 * i]) << 8 | static_cast<std::uint8_t>(samples[2 * i + 1]);
    ASSERT_EQ(deep_clip.images[0].data[i], std::lround(sample * 255 / 65535.0)) << i;
  }

  const auto still = MakeClip("still_444.jpg", source + "-pix_fmt yuvj444p -q:v 3");
  const auto still_bytes = ReadFile(still);
  const DecodedClip still_clip = ClipOf({Borrow(still_bytes)}, 1);
  const std::string planes = raw(still, "yuvj444p");
  const std::size_t pixels = planes.size() / 3;
  ASSERT_EQ(still_clip.images.at(0).data.size(), 3 * pixels);
  const auto level = [&](std::size_t i) { return static_cast<double>(static_cast<std::uint8_t>(planes[i])); };
  for (std::size_t i = 0; i < pixels; ++i) {
    const double red = level(i) + 1.402 * (level(2 * pixels + i) - 128);
    const double blue = level(i) + 1.772 * (level(pixels + i) - 128);
    EXPECT_NEAR(still_clip.images[0].data[3 * i], std::clamp(red, 0.0, 255.0), 0.53) << i;
    EXPECT_NEAR(still_clip.images[0].data[3 * i + 2], std::clamp(blue, 0.0, 255.0), 0.53) << i;
  }
}

TEST(StillImages, SevenPicturesFillEightFrames) {
  std::vector<StillImage> images;
  for (std::uint8_t shade = 0; shade < 7; ++shade) {
    images.emplace_back(RgbImage{2, 1, std::vector<std::uint8_t>(6, shade)});
  }
  const DecodedClip clip = ClipOf(images, 8);
  const std::vector<int> expected = {0, 0, 1, 2, 3, 4, 5, 6};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(clip.frames[i].index, expected[i]);
    EXPECT_EQ(clip.clip->frame(i)[0], expected[i]);
  }
}

TEST(StillImages, ErrorsNameThePictureAndTheReason) {
  const auto path = MakeClip(
      "still.png", "-f lavfi -i testsrc2=s=100x72,crop=99:71:0:0:exact=1 -frames:v 1 -pix_fmt rgb24");
  const auto png = ReadFile(path);
  const std::vector<std::uint8_t> text = {'h', 'e', 'l', 'l', 'o'};
  const Status not_an_image = ErrorOf({Borrow(png), Borrow(text)}, Frames(2));
  EXPECT_EQ(not_an_image.code(), StatusCode::kMedia);
  EXPECT_NE(not_an_image.message().find("picture 1"), std::string::npos) << not_an_image.message();

  ClipRequest small = Frames(1);
  small.limits.max_pixels = 99 * 71 - 1;
  EXPECT_EQ(ErrorOf({Borrow(png)}, small).code(), StatusCode::kLimit);
  EXPECT_EQ(ErrorOf({RgbImage{4, 4, std::vector<std::uint8_t>(47)}}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf({}).code(), StatusCode::kInvalidArgument);

  const auto animation = MakeClip("animation.apng", "-f lavfi -i testsrc2=s=32x32:d=0.2 -plays 0 -f apng");
  const auto apng = ReadFile(animation);
  const Status animated = ErrorOf({Borrow(apng)}, Frames(1));
  EXPECT_EQ(animated.code(), StatusCode::kMedia);
  EXPECT_NE(animated.message().find("animated"), std::string::npos) << animated.message();
}

TEST(StillImages, DamageNeverCrashes) {
  for (const std::string file : {"still.jpg", "still.png", "lossy.webp", "lossless.webp"}) {
    const auto path = MakeClip(file, "-f lavfi -i testsrc2=s=100x72,crop=99:71:0:0:exact=1 -frames:v 1");
    const auto whole = ReadFile(path);
    for (std::size_t length = 0; length < whole.size(); length += 1 + whole.size() / 60) {
      std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_NE(ErrorOf({Borrow(cut)}, Frames(1)).code(), StatusCode::kInternal);
      std::vector<std::uint8_t> flipped = whole;
      flipped[length] ^= 0x55;
      EXPECT_NE(ErrorOf({Borrow(flipped)}, Frames(1)).code(), StatusCode::kInternal);
    }
  }
}

}  // namespace
}  // namespace cosmos::test
