// Checks the lists of Matroska and WebM files: tracks, cues, chapters, attachments, tags.
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

// FFmpeg finds these wherever a seek head or damage leads it, so they are searched for everywhere.
constexpr std::array kMasters = {"\x11\x4d\x9b\x74"sv, "\x16\x54\xae\x6b"sv, "\x1c\x53\xbb\x6b"sv,
                                 "\x10\x43\xa7\x70"sv, "\x19\x41\xa4\x69"sv, "\x12\x54\xc3\x67"sv};

struct Element {
  std::uint64_t id = 0;
  std::int64_t begin = 0;  // of the payload
  std::int64_t end = 0;
};

// What an element costs FFmpeg.
struct KnownElement {
  std::uint64_t id;
  std::uint64_t bytes;
  bool in_list;  // in a list that FFmpeg searches for each entry
  bool has_children;
};
constexpr std::array kKnownElements = {
    KnownElement{0xae, 1024, true, true},   // TrackEntry
    KnownElement{0x41e4, 64, false, true},  // BlockAdditionMapping
    KnownElement{0x6d80, 0, false, true},   // ContentEncodings
    KnownElement{0x6240, 64, false, true},  // ContentEncoding
    KnownElement{0xe2, 0, false, true},     // TrackOperation
    KnownElement{0xe3, 0, false, true},     // TrackCombinePlanes
    KnownElement{0xe4, 32, false, true},    // TrackPlane
    KnownElement{0xbb, 64, false, true},    // CuePoint
    KnownElement{0xb7, 32, false, true},    // CueTrackPositions
    KnownElement{0x45b9, 0, false, true},   // EditionEntry
    KnownElement{0xb6, 160, true, true},    // ChapterAtom
    KnownElement{0x80, 0, false, true},     // ChapterDisplay
    KnownElement{0x61a7, 160, true, true},  // AttachedFile
    KnownElement{0x7373, 128, true, true},  // Tag
    KnownElement{0x67c8, 128, true, true},  // SimpleTag
    KnownElement{0x4dbb, 32, false, true},  // Seek
};
// No element is free: lists within lists would otherwise be walked without end.
constexpr std::uint64_t kLeastBytes = 16;
// Any other element: a number, or a string on the heap.
constexpr std::uint64_t kLeafBytes = 64;

class MatroskaCheck {
 public:
  MatroskaCheck(ByteScanner& bytes, TableBudget& budget) : bytes_(bytes), budget_(budget) {}

  Status Run() {
    return bytes_.ForEachMatch(kMasters, [this](std::int64_t at) -> Status {
      COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(1));
      const std::optional<Element> master = Read(at, bytes_.size());
      return master ? CountChildren(*master, 0) : Status();
    });
  }

 private:
  static constexpr int kMaxDepth = 16;

  // Stops at an invalid element, where FFmpeg gives up on the list too.
  Status CountChildren(const Element& parent, int depth) {
    if (depth > kMaxDepth) return {};
    for (std::int64_t at = parent.begin; at < parent.end;) {
      const std::optional<Element> element = Read(at, parent.end);
      if (!element) return {};
      const auto cost = std::ranges::find(kKnownElements, element->id, &KnownElement::id);
      const bool known = cost != kKnownElements.end();
      COSMOS_RETURN_IF_ERROR(budget_.AddMemory(1, known ? std::max(cost->bytes, kLeastBytes) : kLeafBytes));
      if (known && cost->in_list) COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(1));
      if (known && cost->has_children) COSMOS_RETURN_IF_ERROR(CountChildren(*element, depth + 1));
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
    // A length of all ones is unknown and reaches to the end of the parent. One that claims more than there
    // is ends there as well.
    const auto rest = static_cast<std::uint64_t>(end - element.begin);
    element.end = element.begin + static_cast<std::int64_t>(std::min(length, rest));
    return element;
  }

  ByteScanner& bytes_;
  TableBudget& budget_;
};

}  // namespace

Status CheckMatroska(ByteScanner& bytes, TableBudget& budget) { return MatroskaCheck(bytes, budget).Run(); }

}  // namespace cosmos
