// The detector on thumbnails that the tests write, frame by frame.
#include "media/shots/shot_detector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

namespace cosmos::test {
namespace {

constexpr double kRate = 25;

// A picture with content of its own, of which `shift` cells have moved out of sight.
Thumbnail Picture(unsigned content, int shift = 0) {
  std::mt19937 random(content);  // NOLINT(cert-msc51-cpp): fixed seed
  constexpr int kWidth = 4 * Thumbnail::kColumns;
  std::vector<float> strip(kWidth);
  // Steps of a few cells, as objects are.
  float level = 0;
  for (int x = 0; x < kWidth; ++x) {
    if (x % 6 == 0) level = static_cast<float>(random() % 200);
    strip[x] = level;
  }
  Thumbnail thumbnail;
  for (int cell = 0; cell < Thumbnail::kCells; ++cell) {
    thumbnail.luma[cell] = strip[(cell % Thumbnail::kColumns + shift) % kWidth];
    thumbnail.cb[cell] = 100 + static_cast<float>(content * 37 % 50);
    thumbnail.cr[cell] = 128;
  }
  return thumbnail;
}

Thumbnail White() {
  Thumbnail thumbnail;
  thumbnail.luma.fill(240);
  thumbnail.cb.fill(128);
  thumbnail.cr.fill(128);
  return thumbnail;
}

Thumbnail Blend(const Thumbnail& a, const Thumbnail& b, float part) {
  Thumbnail blend = a;
  for (int cell = 0; cell < Thumbnail::kCells; ++cell) {
    blend.luma[cell] += (b.luma[cell] - a.luma[cell]) * part;
    blend.cb[cell] += (b.cb[cell] - a.cb[cell]) * part;
  }
  return blend;
}

using Film = std::function<Thumbnail(int)>;

std::vector<int> Cuts(int frames, const Film& film, ShotOptions options = {}, double rate = kRate) {
  ShotDetector detector(options, 0);
  std::vector<int> cuts;
  for (int frame = 0; frame < frames; ++frame) {
    const auto waiting = detector.candidate();
    const auto cut = detector.Add(film(frame), frame / rate);
    if (!cut) continue;
    EXPECT_EQ(cut, waiting) << "a cut must have been a candidate, so that its pictures were kept";
    cuts.push_back(*cut);
  }
  if (const auto cut = detector.Finish(frames / rate)) cuts.push_back(*cut);
  return cuts;
}

using List = std::vector<int>;

TEST(ShotDetector, FindsEachCut) {
  EXPECT_EQ(Cuts(150, [](int frame) { return Picture(frame < 40   ? 1
                                                     : frame < 95 ? 2
                                                                  : 3); }),
            (List{40, 95}));
}

TEST(ShotDetector, FindsNoneInOneShot) {
  EXPECT_EQ(Cuts(150, [](int) { return Picture(1); }), List{});
  EXPECT_EQ(Cuts(0, [](int) { return Picture(1); }), List{});
}

// Every picture of a fast pan differs from the one before by more than the threshold.
TEST(ShotDetector, ACameraThatBeginsToMoveIsNoCut) {
  const Film film = [](int frame) { return Picture(1, std::max(frame - 50, 0) * 3); };
  ASSERT_GT(Difference(film(60), film(61)), ShotOptions().threshold);
  EXPECT_EQ(Cuts(150, film), List{});
}

TEST(ShotDetector, FindsACutBetweenMovingShots) {
  const Film film = [](int frame) { return frame < 70 ? Picture(1, frame / 2) : Picture(2, frame / 2); };
  EXPECT_EQ(Cuts(150, film), List{70});
}

TEST(ShotDetector, AFlashIsNoCutEvenIfThePictureMoves) {
  for (const int length : {1, 2, 5, 9}) {
    SCOPED_TRACE(length);
    const Film film = [&](int frame) {
      return frame >= 60 && frame < 60 + length ? White() : Picture(1, frame / 4);
    };
    EXPECT_EQ(Cuts(150, film), List{});
  }
}

TEST(ShotDetector, ALongerChangeThatIsUndoneIsAShot) {
  const Film film = [](int frame) { return Picture(frame >= 60 && frame < 80 ? 2 : 1); };
  EXPECT_EQ(Cuts(150, film), (List{60, 80}));
  EXPECT_EQ(Cuts(150, film, {.min_seconds = 1}), List{});
}

TEST(ShotDetector, AFlashBetweenTwoShotsIsOneCut) {
  const Film film = [](int frame) { return frame < 60 ? Picture(1) : frame < 62 ? White() : Picture(2); };
  const List cuts = Cuts(150, film);
  ASSERT_EQ(cuts.size(), 1U);
  EXPECT_GE(cuts[0], 60);
  EXPECT_LE(cuts[0], 62);
}

// As deinterlacing and frame rate conversion make them.
TEST(ShotDetector, ABlendedPictureIsOneCut) {
  for (const float part : {0.3F, 0.5F, 0.7F}) {
    const Film film = [&](int frame) {
      return frame == 60 ? Blend(Picture(1), Picture(2), part) : Picture(frame < 60 ? 1 : 2);
    };
    const List cuts = Cuts(150, film);
    ASSERT_EQ(cuts.size(), 1U) << part;
    EXPECT_TRUE(cuts[0] == 60 || cuts[0] == 61) << cuts[0];
  }
}

TEST(ShotDetector, NoShotIsShorterThanTheMinimum) {
  // A cut every 10 frames, 0.4 seconds.
  const Film film = [](int frame) { return Picture(static_cast<unsigned>(frame / 10)); };
  for (const double minimum : {0.3, 0.5, 1.0, 2.5}) {
    int before = 0;
    List cuts = Cuts(200, film, {.min_seconds = minimum});
    EXPECT_FALSE(cuts.empty());
    cuts.push_back(200);
    for (const int cut : cuts) {
      EXPECT_GE((cut - before) / kRate, minimum - 1e-6);
      before = cut;
    }
  }
  EXPECT_EQ(Cuts(200, film, {.min_seconds = 0.4}).size(), 19U);
}

TEST(ShotDetector, TheThresholdDecides) {
  const Film film = [](int frame) { return Blend(Picture(1), Picture(2), frame < 60 ? 0 : 0.4F); };
  const double change = Difference(film(59), film(60));
  EXPECT_EQ(Cuts(150, film, {.threshold = change * 0.99}), List{60});
  EXPECT_EQ(Cuts(150, film, {.threshold = change * 1.01}), List{});
}

// As a film in a frame of another shape has them.
Thumbnail WithBars(Thumbnail thumbnail, int columns) {
  for (int cell = 0; cell < Thumbnail::kCells; ++cell) {
    const int column = cell % Thumbnail::kColumns;
    if (column >= columns && column < Thumbnail::kColumns - columns) continue;
    thumbnail.luma[cell] = 16;
    thumbnail.cb[cell] = thumbnail.cr[cell] = 128;
  }
  return thumbnail;
}

TEST(ShotDetector, BarsBesideThePictureHideNoCut) {
  for (const int columns : {1, 6, 16, 18}) {
    SCOPED_TRACE(columns);
    const Film film = [&](int frame) { return WithBars(Picture(frame < 60 ? 1 : 2), columns); };
    ASSERT_GT(Difference(film(59), film(60)), ShotOptions().threshold);
    EXPECT_EQ(Cuts(150, film), List{60});
  }
}

// A bird that drops out of a still picture changes a quarter of it from one frame to the next, and then
// nothing.
TEST(ShotDetector, SomethingLargeThatLeavesAtOnceIsNoCut) {
  for (const int columns : {8, 12, 15}) {
    SCOPED_TRACE(columns);
    const Film film = [&](int frame) {
      Thumbnail thumbnail = Picture(1);
      for (int cell = 0; frame < 60 && cell < Thumbnail::kCells; ++cell)
        if (cell % Thumbnail::kColumns < columns) thumbnail.luma[cell] = 255 - thumbnail.luma[cell] / 4;
      return thumbnail;
    };
    ASSERT_GT(Difference(film(59), film(60)), ShotOptions().threshold);
    EXPECT_EQ(Cuts(150, film), List{});
  }
}

// With a picture per second, the pictures around one are no measure of movement.
TEST(ShotDetector, SlidesAreShots) {
  const Film film = [](int frame) { return Picture(static_cast<unsigned>(frame / 2)); };
  EXPECT_EQ(Cuts(10, film, {}, /*rate=*/1), (List{2, 4, 6, 8}));
}

TEST(ShotDetector, WithoutAMinimumEveryLargeChangeIsACut) {
  const Film film = [](int frame) { return Picture(static_cast<unsigned>(frame)); };
  EXPECT_EQ(Cuts(5, film, {.min_seconds = 0}), (List{1, 2, 3, 4}));
}

}  // namespace
}  // namespace cosmos::test
