// Checks the metadata of FLV, AVI, ASF and Ogg, which have no other tables: FFmpeg keeps metadata in a list
// that it searches for each entry, and allocates arrays as long as they claim to be.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "media/demux/container_check.h"

namespace cosmos {
namespace {

using namespace std::literals;

// Walks an AMF value of an FLV script tag, as deep as FFmpeg does.
class FlvScript {
 public:
  FlvScript(ByteScanner& bytes, TableBudget& budget) : bytes_(bytes), budget_(budget) {}

  Status Check(std::int64_t at) {
    at_ = at;
    return Value({}, 0);
  }

 private:
  enum Type : std::uint8_t {
    kNumber = 0,
    kBoolean = 1,
    kString = 2,
    kObject = 3,
    kNamedArray = 8,
    kArray = 10,
    kDate = 11,
  };
  static constexpr int kMaxDepth = 16;
  static constexpr std::int64_t kNumberBytes = 9;  // a type and a double

  // Moves at_ past the value, or to the end of the source when it cannot be followed.
  Status Value(const std::string& name, int depth) {
    COSMOS_RETURN_IF_ERROR(budget_.AddMemory(1, kValueBytes));
    const std::uint32_t type = depth > kMaxDepth ? 0xff : bytes_.Byte(at_);
    ++at_;
    switch (type) {
      case kNumber: at_ += 8; return {};
      case kBoolean: at_ += 1; return {};
      case kString: at_ += 2 + bytes_.Big16(at_); return {};
      case kDate: at_ += 10; return {};
      case kObject: return Members(depth);
      case kNamedArray: at_ += 4; return Members(depth);
      case kArray: return Array(name, depth);
      case 5:
      case 6:
      case 13: return {};  // null, undefined, unsupported
      default: at_ = bytes_.size(); return {};
    }
  }

  Status Members(int depth) {
    while (at_ < bytes_.size()) {
      const std::uint32_t length = bytes_.Big16(at_);
      at_ += 2;
      if (length == 0) {
        ++at_;  // the end marker
        return {};
      }
      std::string name;
      for (std::uint32_t i = 0; i < length && i < kMaxNameBytes; ++i) {
        name += static_cast<char>(bytes_.Byte(at_ + i));
      }
      at_ += length;
      // Names cost their length: overlapping scripts would otherwise read the same long ones again and again.
      COSMOS_RETURN_IF_ERROR(budget_.AddMemory(1, length));
      if (names_.insert(name).second) COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(1));
      COSMOS_RETURN_IF_ERROR(Value(name, depth + 1));
    }
    return {};
  }

  Status Array(const std::string& name, int depth) {
    const std::uint32_t count = bytes_.Big32(at_);
    at_ += 4;
    // FFmpeg allocates these two arrays up front.
    if (name == "times" || name == "filepositions") {
      const std::int64_t rest = (bytes_.size() - at_) / kNumberBytes;
      if (count > std::max<std::int64_t>(rest, kHarmless)) return DamagedTable(name);
      COSMOS_RETURN_IF_ERROR(budget_.AddMemory(count, 2 * sizeof(double)));
    }
    for (std::uint32_t i = 0; i < count && at_ < bytes_.size(); ++i) {
      COSMOS_RETURN_IF_ERROR(Value({}, depth + 1));
    }
    return {};
  }

  static constexpr std::uint64_t kValueBytes = 64;
  static constexpr std::uint32_t kMaxNameBytes = 1024;
  static constexpr std::int64_t kHarmless = 1 << 16;

  ByteScanner& bytes_;
  TableBudget& budget_;
  std::int64_t at_ = 0;
  std::unordered_set<std::string> names_;
};

// Counts comments of streams whose comment packet has no signature and is known only by its position.
class OggComments {
 public:
  OggComments(ByteScanner& bytes, TableBudget& budget) : bytes_(bytes), budget_(budget) {}

  Status Check() {
    static constexpr std::array kPage = {"OggS"sv};
    return bytes_.ForEachMatch(kPage, [this](std::int64_t at) { return CheckPage(at); });
  }

 private:
  enum class Kind { kOther, kSpeex, kCelt, kFlac, kOgm };
  struct Stream {
    Kind kind = Kind::kOther;
    bool in_packet = false;   // a packet that the next page may continue
    bool is_comment = false;  // that packet holds comments
    int packets = 0;
  };

  Status CheckPage(std::int64_t page) {
    constexpr std::int64_t kHeader = 27;
    COSMOS_RETURN_IF_ERROR(budget_.AddMemory(1, sizeof(Stream)));
    Stream& stream = streams_[bytes_.Little32(page + 14)];
    const std::int64_t lacing_values = bytes_.Byte(page + 26);
    std::int64_t at = page + kHeader + lacing_values;
    for (std::int64_t i = 0; i < lacing_values; ++i) {
      const std::uint32_t length = bytes_.Byte(page + kHeader + i);
      if (!std::exchange(stream.in_packet, true) || i == 0) Begin(stream, at);
      if (stream.is_comment) {
        // Pages of a real file do not overlap.
        counted_ += length;
        if (counted_ > bytes_.size()) return DamagedTable("comments");
        COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(CountEqualSigns(at, length)));
      }
      at += length;
      if (length == kMaxLacing) continue;
      stream.in_packet = stream.is_comment = false;
      ++stream.packets;
    }
    return {};
  }

  void Begin(Stream& stream, std::int64_t at) {
    constexpr int kSpeexHeaders = 2;
    constexpr std::uint32_t kFlacComment = 4;
    constexpr std::uint32_t kOgmComment = 3;
    if (const Kind kind = KindOf(at); kind != Kind::kOther) stream = {.kind = kind, .in_packet = true};
    const std::uint32_t first = bytes_.Byte(at);
    switch (stream.kind) {
      case Kind::kSpeex: stream.is_comment = stream.packets > 0 && stream.packets <= kSpeexHeaders; break;
      case Kind::kCelt: stream.is_comment = stream.packets > 0; break;
      case Kind::kFlac: stream.is_comment = stream.is_comment || (first & 0x7f) == kFlacComment; break;
      case Kind::kOgm: stream.is_comment = stream.is_comment || first == kOgmComment; break;
      case Kind::kOther: break;
    }
  }

  Kind KindOf(std::int64_t at) {
    if (bytes_.Has(at, "Speex   ")) return Kind::kSpeex;
    if (bytes_.Has(at, "CELT    ")) return Kind::kCelt;
    if (bytes_.Has(at, "fLaC") || bytes_.Has(at, "\177FLAC")) return Kind::kFlac;
    for (const std::string_view ogm : {"\1video"sv, "\1audio"sv, "\1text"sv, "\1Direct Show"sv}) {
      if (bytes_.Has(at, ogm)) return Kind::kOgm;
    }
    return Kind::kOther;
  }

  // Each comment has an equals sign between its name and its value.
  std::uint64_t CountEqualSigns(std::int64_t at, std::uint32_t length) {
    std::uint64_t count = 0;
    while (length > 0) {
      const auto data = bytes_.BytesAt(at, 1);
      if (data.empty()) break;
      const auto here = data.first(std::min<std::size_t>(data.size(), length));
      count += static_cast<std::uint64_t>(std::ranges::count(here, '='));
      at += std::ssize(here);
      length -= static_cast<std::uint32_t>(here.size());
    }
    return count;
  }

  static constexpr std::uint32_t kMaxLacing = 255;

  ByteScanner& bytes_;
  TableBudget& budget_;
  std::unordered_map<std::uint32_t, Stream> streams_;
  std::int64_t counted_ = 0;  // bytes of comments
};

}  // namespace

Status CheckFlv(ByteScanner& bytes, TableBudget& budget) {
  static constexpr std::array kNames = {"\0\nonMetaData"sv, "\0\nonCuePoint"sv};
  FlvScript script(bytes, budget);
  return bytes.ForEachMatch(kNames, [&](std::int64_t at) -> Status {
    COSMOS_RETURN_IF_ERROR(budget.AddListEntries(1));
    return script.Check(at + static_cast<std::int64_t>(kNames[0].size()));
  });
}

// INFO lists, wherever they are.
Status CheckAvi(ByteScanner& bytes, TableBudget& budget) {
  static constexpr std::array kInfo = {"INFO"sv};
  std::unordered_set<std::uint32_t> names;
  std::int64_t counted = 0;
  return bytes.ForEachMatch(kInfo, [&](std::int64_t at) -> Status {
    if (at < counted || !bytes.Has(at - 8, "LIST")) return {};
    const std::int64_t end = std::min(at - 4 + bytes.Little32(at - 4), bytes.size());
    for (at += 4; at + 8 <= end;) {
      if (names.insert(bytes.Big32(at)).second) COSMOS_RETURN_IF_ERROR(budget.AddListEntries(1));
      at += std::int64_t{8} + bytes.Little32(at + 4) + (bytes.Little32(at + 4) & 1);
    }
    counted = std::max(counted, std::min(at, end));
    return {};
  });
}

// Description and metadata objects, wherever they are; each begins with its number of entries.
Status CheckAsf(ByteScanner& bytes, TableBudget& budget) {
  static constexpr std::array kObjects = {
      "\x40\xa4\xd0\xd2\x07\xe3\xd2\x11\x97\xf0\x00\xa0\xc9\x5e\xa8\x50"sv,
      "\xea\xcb\xf8\xc5\xaf\x5b\x77\x48\x84\x67\xaa\x8c\x44\xfa\x4c\xca"sv,
      "\x94\x1c\x23\x44\x98\x94\xd1\x49\xa1\x41\x1d\x13\x4e\x45\x70\x54"sv};
  COSMOS_RETURN_IF_ERROR(bytes.ForEachMatch(
      kObjects, [&](std::int64_t at) { return budget.AddListEntries(1 + bytes.Little16(at + 24)); }));
  // One such entry may be a whole ID3 tag.
  static constexpr std::array kTags = {"ID3\2"sv, "ID3\3"sv, "ID3\4"sv};
  return bytes.ForEachMatch(kTags, [&](std::int64_t at) { return CheckId3(bytes, at, budget).status(); });
}

// Vorbis comments, which begin with the encoder's name and their number.
Status CheckOgg(ByteScanner& bytes, TableBudget& budget) {
  static constexpr std::array kHeads = {"\x03vorbis"sv, "\x81theora"sv, "OpusTags"sv, "OVP80\x02 "sv};
  COSMOS_RETURN_IF_ERROR(bytes.ForEachMatch(kHeads, [&](std::int64_t at) -> Status {
    const std::int64_t vendor = at + (bytes.Byte(at) == 'O' && bytes.Byte(at + 1) == 'p' ? 8 : 7);
    return budget.AddListEntries(1 + std::uint64_t{bytes.Little32(vendor + 4 + bytes.Little32(vendor))});
  }));
  return OggComments(bytes, budget).Check();
}

}  // namespace cosmos
