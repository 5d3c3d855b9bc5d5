// A still picture: its header, what is kept of its file, and its pixels.
#include <algorithm>
#include <memory>
#include <vector>

#include "fuzz/target.h"
#include "media/clip_reader.h"
#include "media/still/image_header.h"
#include "media/still/strip_metadata.h"

namespace cosmos::fuzz {
namespace {

// StripMetadata may write over the file that it reads.
void CheckStripping(Bytes input) {
  const auto header = ReadImageHeader(input);
  if (!header) return;
  std::vector<std::uint8_t> apart(input.size());
  std::vector<std::uint8_t> in_place(input.begin(), input.end());
  const auto kept = StripMetadata(header->format, input, apart.data());
  const auto again = StripMetadata(header->format, in_place, in_place.data());
  Require(kept.ok() == again.ok(), "metadata is removed differently in place");
  if (!kept.ok()) return RequireTyped(kept.status());
  Require(kept.value() <= input.size() && kept.value() == again.value(), "more is kept than there was");
  Require(
      std::equal(apart.begin(), apart.begin() + static_cast<std::ptrdiff_t>(kept.value()), in_place.begin()),
      "metadata is removed differently in place");
}

}  // namespace

void FuzzOne(Bytes input) {
  CheckStripping(input);
  ClipRequest request;
  request.shape = {.frames = 2, .height = 8, .width = 8};
  request.keep_images = true;
  request.limits = SmallLimits();
  const std::vector<StillImage> pictures = {MediaBytes{input, nullptr}};
  const auto clip = ClipFromImages(pictures, request, std::make_shared<CancelToken>());
  if (!clip.ok()) return RequireTyped(clip.status());
  for (const RgbImage& image : clip.value().images) {
    Require(image.data.size() == std::size_t{3} * image.width * image.height, "a picture of another size");
    Require(std::int64_t{image.width} * image.height <= request.limits.max_pixels,
            "a picture above the limit");
  }
}

}  // namespace cosmos::fuzz
