#include "image/resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace cosmos {
namespace {

// The plain algorithm, as the oracle for sizes without goldens.
std::vector<int> PlainWeights(int in, int out_size, int out, int* first) {
  const double scale = static_cast<double>(in) / out_size;
  const double support = std::max(scale, 1.0);
  const double center = (out + 0.5) * scale;
  *first = std::max(0, static_cast<int>(std::floor(center - support + 0.5)));
  const int last = std::min(in, static_cast<int>(std::floor(center + support + 0.5)));
  std::vector<double> weights;
  double total = 0;
  for (int i = *first; i < last; ++i) {
    const double distance = std::abs((i - center + 0.5) * (1.0 / support));
    weights.push_back(distance < 1 ? 1 - distance : 0);
    total += weights.back();
  }
  std::vector<int> fixed;
  fixed.reserve(weights.size());
  for (const double weight : weights)
    fixed.push_back(static_cast<int>(std::floor(0.5 + weight / total * (1 << 22))));
  return fixed;
}

// The horizontal pass.
RgbImage PlainHorizontal(const RgbImage& src, int width) {
  RgbImage dst{width, src.height, std::vector<std::uint8_t>(std::size_t{3} * width * src.height)};
  for (int x = 0; x < width; ++x) {
    int first = 0;
    const std::vector<int> weights = PlainWeights(src.width, width, x, &first);
    for (int y = 0; y < src.height; ++y) {
      for (int c = 0; c < 3; ++c) {
        int sum = 1 << 21;
        for (std::size_t i = 0; i < weights.size(); ++i) {
          sum += weights[i] * src.data[(std::size_t{1} * y * src.width + first + i) * 3 + c];
        }
        dst.data[(std::size_t{1} * y * width + x) * 3 + c] =
            static_cast<std::uint8_t>(std::min(sum >> 22, 255));
      }
    }
  }
  return dst;
}

RgbImage Transpose(const RgbImage& src) {
  RgbImage dst{src.height, src.width, std::vector<std::uint8_t>(src.data.size())};
  for (int y = 0; y < src.height; ++y) {
    for (int x = 0; x < src.width; ++x) {
      std::copy_n(&src.data[(std::size_t{1} * y * src.width + x) * 3], 3,
                  &dst.data[(std::size_t{1} * x * src.height + y) * 3]);
    }
  }
  return dst;
}

RgbImage PlainResize(const RgbImage& src, int width, int height) {
  const RgbImage wide = width == src.width ? src : PlainHorizontal(src, width);
  return height == src.height ? wide : Transpose(PlainHorizontal(Transpose(wide), height));
}

struct HashedGolden {
  int src_width, src_height, width, height;
  std::uint64_t fnv1a;
};
struct LiteralGolden {
  int src_width, src_height, width, height;
  std::vector<std::uint8_t> pixels;
};
#include "goldens/resize.inc"

// The same picture as generate() in scripts/goldens/make_resize.py.
RgbImage Generate(int width, int height) {
  RgbImage image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  for (std::size_t i = 0; i < image.data.size(); ++i) {
    auto value = static_cast<std::uint32_t>(i * 2654435761U + width * 31 + height);
    value = (value ^ value >> 15) * 2246822519U;
    const std::size_t stretch = i / 257 % 4;
    image.data[i] = static_cast<std::uint8_t>(stretch == 1 ? 255 : stretch == 2 ? i / 3 % 256 : value >> 24);
  }
  return image;
}

std::uint64_t Fnv1a(const std::vector<std::uint8_t>& data) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const std::uint8_t byte : data) value = (value ^ byte) * 0x100000001b3;
  return value;
}

TEST(Resize, EqualsPillow) {
  for (const HashedGolden& golden : kHashed) {
    const RgbImage image = Resize(Generate(golden.src_width, golden.src_height), golden.width, golden.height);
    EXPECT_EQ(Fnv1a(image.data), golden.fnv1a)
        << golden.src_width << "x" << golden.src_height << " to " << golden.width << "x" << golden.height;
  }
  for (const LiteralGolden& golden : kLiteral) {
    EXPECT_EQ(Resize(Generate(golden.src_width, golden.src_height), golden.width, golden.height).data,
              golden.pixels);
  }
}

RgbImage Noise(int width, int height, std::uint32_t seed) {
  RgbImage image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  std::mt19937 random(seed);
  for (std::uint8_t& value : image.data) value = static_cast<std::uint8_t>(random() >> 24);
  return image;
}

TEST(Resize, EqualsThePlainAlgorithmForRandomSizes) {
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): fixed seed
  std::uniform_int_distribution<int> size(1, 90);
  for (int i = 0; i < 400; ++i) {
    const RgbImage src = Noise(size(random), size(random), i);
    const int width = size(random);
    const int height = size(random);
    ASSERT_EQ(Resize(src, width, height).data, PlainResize(src, width, height).data)
        << src.width << "x" << src.height << " to " << width << "x" << height;
  }
}

TEST(Resize, PlanarHoldsTheSamePixels) {
  const RgbImage src = Noise(61, 47, 1);
  for (const auto& [width, height] : {std::pair{16, 16}, {61, 47}, {61, 20}, {33, 47}, {100, 3}, {1, 1}}) {
    const RgbImage interleaved = Resize(src, width, height);
    std::vector<std::uint8_t> planar(interleaved.data.size());
    ResizeToPlanar(src, width, height, planar.data());
    for (int i = 0; i < width * height; ++i) {
      for (int c = 0; c < 3; ++c) {
        ASSERT_EQ(planar[std::size_t{1} * c * width * height + i], interleaved.data[std::size_t{3} * i + c]);
      }
    }
  }
}

}  // namespace
}  // namespace cosmos
