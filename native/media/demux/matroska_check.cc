// The lists of Matroska and WebM files: tracks, cues, chapters, attachments, tags.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

#include "media/demux/container_check.h"

namespace cosmos {
namespace {

using namespace std::literals;

// FFmpeg finds these wherever a seek head or damage leads it, so they are looked for everywhere.
constexpr std::array kMasters = {"\x11\x4d\x9b\x74"sv, "\x16\x54\xae\x6b"sv, "\x1c\x53\xbb\x6b"sv,
                                 "\x10\x43\xa7\x70"sv, "\x19\x41\xa4\x69"sv, "\x12\x54\xc3\x67"sv};

struct Element {
  std::uint64_t id = 0;
  std::int64_t begin = 0;  // of what it holds
  std::int64_t end = 0;
};

// What FFmpeg keeps of one.
struct Kept {
  std::uint64_t id;
  std::uint64_t bytes;
  bool listed;  // and searches all of them for each
  bool holds_others;
};
constexpr std::array kKept = {
    Kept{0xae, 1024, true, true},   // TrackEntry
    Kept{0x41e4, 64, false, true},  // BlockAdditionMapping
    Kept{0x6d80, 0, false, true},   // ContentEncodings
    Kept{0x6240, 64, false, true},  // ContentEncoding
    Kept{0xe2, 0, false, true},     // TrackOperation
    Kept{0xe3, 0, false, true},     // TrackCombinePlanes
    Kept{0xe4, 32, false, true},    // TrackPlane
    Kept{0xbb, 64, false, true},    // CuePoint
    Kept{0xb7, 32, false, true},    // CueTrackPositions
    Kept{0x45b9, 0, false, true},   // EditionEntry
    Kept{0xb6, 160, true, true},    // ChapterAtom
    Kept{0x80, 0, false, true},     // ChapterDisplay
    Kept{0x61a7, 160, true, true},  // AttachedFile
    Kept{0x7373, 128, true, true},  // Tag
    Kept{0x67c8, 128, true, true},  // SimpleTag
    Kept{0x4dbb, 32, false, true},  // Seek
};
// Anything else: a number, or a string on the heap.
constexpr std::uint64_t kLeafBytes = 64;

class MatroskaCheck {
 public:
  MatroskaCheck(ByteWindow& bytes, TableBudget& budget) : bytes_(bytes), budget_(budget) {}

  Status Run() {
    return bytes_.ForEach(kMasters, [this](std::int64_t at) -> Status {
      COSMOS_RETURN_IF_ERROR(budget_.List(1));
      const std::optional<Element> master = Read(at, bytes_.size());
      return master ? Count(*master, 0) : Status();
    });
  }

 private:
  static constexpr int kDeepest = 16;

  // Up to what is no element: there FFmpeg gives up on this list too.
  Status Count(const Element& parent, int depth) {
    if (depth > kDeepest) return {};
    for (std::int64_t at = parent.begin; at < parent.end;) {
      const std::optional<Element> element = Read(at, parent.end);
      if (!element) return {};
      const auto kept = std::ranges::find(kKept, element->id, &Kept::id);
      const bool known = kept != kKept.end();
      COSMOS_RETURN_IF_ERROR(budget_.Take(1, known ? kept->bytes : kLeafBytes));
      if (known && kept->listed) COSMOS_RETURN_IF_ERROR(budget_.List(1));
      if (known && kept->holds_others) COSMOS_RETURN_IF_ERROR(Count(*element, depth + 1));
      at = element->end;
    }
    return {};
  }

  std::optional<Element> Read(std::int64_t at, std::int64_t end) {
    const std::uint32_t first = bytes_.Byte(at);
    const int id_bytes = std::countl_zero(static_cast<std::uint8_t>(first)) + 1;
    if (id_bytes > 4) return std::nullopt;
    Element element;
    for (int i = 0; i < id_bytes; ++i) element.id = element.id << 8 | bytes_.Byte(at + i);

    const std::int64_t length_at = at + id_bytes;
    const std::uint32_t marked = bytes_.Byte(length_at);
    const int length_bytes = std::countl_zero(static_cast<std::uint8_t>(marked)) + 1;
    if (length_bytes > 8) return std::nullopt;
    std::uint64_t length = marked & (0xffU >> length_bytes);
    for (int i = 1; i < length_bytes; ++i) length = length << 8 | bytes_.Byte(length_at + i);
    element.begin = length_at + length_bytes;
    if (element.begin > end) return std::nullopt;
    // All ones: unknown, to the end of what it is in. One that claims more than there is ends there as well.
    const auto rest = static_cast<std::uint64_t>(end - element.begin);
    element.end = element.begin + static_cast<std::int64_t>(std::min(length, rest));
    return element;
  }

  ByteWindow& bytes_;
  TableBudget& budget_;
};

}  // namespace

Status CheckMatroska(ByteWindow& bytes, TableBudget& budget) { return MatroskaCheck(bytes, budget).Run(); }

}  // namespace cosmos
