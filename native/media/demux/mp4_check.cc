// Checks the tables of MP4 and QuickTime files, walking them as FFmpeg does: by the types of boxes, whatever
// box they are in.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "media/demux/container_check.h"

namespace cosmos {
namespace {

constexpr std::uint32_t FourCc(std::string_view name) {
  std::uint32_t value = 0;
  for (const char letter : name) value = value << 8 | static_cast<std::uint8_t>(letter);
  return value;
}

std::string NameOf(std::uint32_t type) {
  std::string name;
  for (int shift = 24; shift >= 0; shift -= 8) name += static_cast<char>(type >> shift & 0xff);
  return name;
}

struct Box {
  std::uint32_t type = 0;
  std::int64_t begin = 0;  // of the payload
  std::int64_t end = 0;
  std::uint64_t size() const { return static_cast<std::uint64_t>(end - begin); }
};

constexpr std::uint32_t kRoot = 0;
constexpr std::uint32_t kMovie = FourCc("moov");

bool HoldsBoxes(std::uint32_t type) {
  static constexpr std::array kTypes = {
      kMovie,         FourCc("trak"), FourCc("mdia"), FourCc("minf"), FourCc("stbl"), FourCc("dinf"),
      FourCc("edts"), FourCc("udta"), FourCc("moof"), FourCc("traf"), FourCc("mvex"), FourCc("tref"),
      FourCc("wave"), FourCc("sinf"), FourCc("schi"), FourCc("ilst"), FourCc("iprp"), FourCc("ipco")};
  return std::ranges::count(kTypes, type) > 0;
}

// A box that is a count followed by entries of one size.
struct Table {
  std::uint32_t type;
  std::uint64_t entry_bytes;
};
constexpr std::array kTables = {Table{FourCc("stts"), 8}, Table{FourCc("ctts"), 8}, Table{FourCc("stsc"), 12},
                                Table{FourCc("stss"), 4}, Table{FourCc("stps"), 4}, Table{FourCc("stco"), 4},
                                Table{FourCc("co64"), 8}};

// Tables with layouts of their own.
bool IsSpecial(std::uint32_t type) {
  static constexpr std::array kTypes = {FourCc("stsz"), FourCc("stz2"), FourCc("trun"), FourCc("elst"),
                                        FourCc("sgpd"), FourCc("senc"), FourCc("saiz"), FourCc("saio"),
                                        FourCc("sidx"), FourCc("iinf"), FourCc("cmov")};
  return std::ranges::count(kTypes, type) > 0;
}

bool IsTable(std::uint32_t type) {
  return IsSpecial(type) || std::ranges::count(kTables, type, &Table::type) > 0;
}

class Mp4Check {
 public:
  Mp4Check(ByteScanner& bytes, TableBudget& budget) : bytes_(bytes), budget_(budget) {}

  Status Run() {
    COSMOS_RETURN_IF_ERROR(Walk({kRoot, 0, bytes_.size()}, 0));
    return CheckChapters();
  }

 private:
  // What a sample costs while FFmpeg merges the tables: the index twice, times, and our own index.
  static constexpr std::uint64_t kSampleBytes = 96;
  static constexpr std::uint64_t kEditedSampleBytes = 32;
  static constexpr std::uint64_t kFragmentBytes = 64;  // and the same again for each track
  // A table that claims too much but is smaller than this is harmless, and FFmpeg repairs some of those.
  static constexpr std::uint64_t kHarmless = std::uint64_t{1} << 20;
  static constexpr std::uint64_t kItemBytes = 12;  // minimum for an item of a picture file
  static constexpr int kMaxDepth = 12;             // as in FFmpeg

  // A track whose samples may be the titles of chapters.
  struct Titles {
    std::uint64_t id = 0;
    std::uint64_t samples = 0;
    Box sizes;  // none for the samples of a fragment
  };
  static constexpr std::uint64_t kMaxTitleBytes = 1 << 16;

  // The state of the current track.
  struct Track {
    std::uint64_t id = 0;
    Box sizes;
    bool sound = false;
    bool other = false;
    std::uint64_t samples = 0;
    bool samples_are_bytes = false;  // by stts: one tick each, like PCM
    std::uint64_t chunks = 0;
    Box chunk_map;
    std::uint64_t edits = 0;
  };

  Status Walk(const Box& parent, int depth) {
    if (depth > kMaxDepth) return {};
    for (std::int64_t at = parent.begin; at + 8 <= parent.end;) {
      std::uint64_t size = bytes_.Big32(at);
      std::uint64_t header = 8;
      if (size == 1 && at + 16 <= parent.end) {
        size = bytes_.Big64(at + 8);
        header = 16;
      }
      const auto rest = static_cast<std::uint64_t>(parent.end - at);
      if (size == 0) size = rest;
      if (size < header) break;
      Box box{bytes_.Big32(at + 4), at + static_cast<std::int64_t>(header),
              at + static_cast<std::int64_t>(std::min(size, rest))};
      box.begin = std::min(box.begin, box.end);
      COSMOS_RETURN_IF_ERROR(Visit(box, parent.type, depth));
      at = box.end;
    }
    return {};
  }

  Status Visit(Box box, std::uint32_t parent, int depth) {
    // FFmpeg accepts a movie in a box marked as free.
    const bool hidden = box.type == FourCc("free") || box.type == FourCc("hoov");
    if (hidden && (bytes_.Has(box.begin + 4, "mvhd") || bytes_.Has(box.begin + 4, "cmov"))) box.type = kMovie;
    // FFmpeg keeps all of these in lists: tags, keys of an encrypted file, defaults of tracks.
    const bool listed = parent == FourCc("udta") || parent == FourCc("ilst") || box.type == FourCc("----") ||
                        box.type == FourCc("pssh") || box.type == FourCc("trex");
    if (listed) COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(1));
    if (IsTable(box.type)) COSMOS_RETURN_IF_ERROR(CheckTable(box));
    switch (box.type) {
      case FourCc("trak"): return WalkTrack(box, depth);
      case FourCc("moof"): COSMOS_RETURN_IF_ERROR(budget_.AddMemory(1, FragmentBytes())); break;
      case FourCc("meta"): return WalkMeta(box, depth);
      case FourCc("stsd"): return SearchDescriptions(box);
      case FourCc("hdlr"): ReadHandler(box); break;
      case FourCc("tkhd"):
        track_.id = bytes_.Big32(box.begin + (bytes_.Byte(box.begin) == 1 ? 20 : 12));
        break;
      case FourCc("tfhd"): fragment_track_ = bytes_.Big32(box.begin + 4); break;
      case FourCc("chap"): return ReadChapters(box);
      default: break;
    }
    return HoldsBoxes(box.type) ? Walk(box, depth + 1) : Status();
  }

  // The box may or may not begin with a version: like FFmpeg, looks for the first box, which is always hdlr.
  Status WalkMeta(const Box& box, int depth) {
    for (std::int64_t at = box.begin; at + 8 <= box.end; at += 4) {
      if (bytes_.Has(at + 4, "hdlr")) return Walk({box.type, at, box.end}, depth + 1);
    }
    return {};
  }

  // Boxes follow fields whose size depends on the codec, so every offset is tried. Nothing else in there
  // looks like a table.
  Status SearchDescriptions(const Box& box) {
    for (std::int64_t at = box.begin; at + 8 <= box.end; ++at) {
      const Box inner{bytes_.Big32(at + 4), at + 8, box.end};
      if (IsTable(inner.type)) COSMOS_RETURN_IF_ERROR(CheckTable(inner));
    }
    return {};
  }

  Status WalkTrack(const Box& box, int depth) {
    COSMOS_RETURN_IF_ERROR(budget_.CheckStreams(++tracks_));
    track_ = {};
    COSMOS_RETURN_IF_ERROR(Walk(box, depth + 1));
    // FFmpeg keeps PCM in chunks of at most 1024 samples, and everything else by sample.
    const bool by_chunk = track_.sound && !track_.other && track_.samples_are_bytes;
    const std::uint64_t entries = by_chunk ? PcmEntries() : track_.samples;
    COSMOS_RETURN_IF_ERROR(budget_.AddMemory(entries, kSampleBytes));
    titles_.push_back({track_.id, track_.samples, track_.sizes});
    return track_.edits > 1 ? budget_.AddMemory(entries * track_.edits, kEditedSampleBytes) : Status();
  }

  // The tracks that hold chapters.
  Status ReadChapters(const Box& box) {
    for (std::int64_t at = box.begin; at + 4 <= box.end; at += 4) {
      COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(1));
      chapters_.insert(bytes_.Big32(at));
    }
    return {};
  }

  // FFmpeg keeps the titles of all chapters, up to 64 KiB each, although samples may share their bytes.
  Status CheckChapters() const {
    constexpr std::uint64_t kMaxTitles = std::uint64_t{64} << 20;  // bytes of all of them
    std::uint64_t bytes = 0;
    for (const Titles& titles : titles_) {
      if (!chapters_.contains(titles.id)) continue;
      COSMOS_RETURN_IF_ERROR(budget_.AddListEntries(titles.samples));
      bytes += TitleBytes(titles);
    }
    if (bytes <= kMaxTitles) return {};
    return Status(StatusCode::kLimit, "the titles of the chapters take more than the limit of 64 MiB")
        .With("limit", static_cast<double>(kMaxTitles));
  }

  // For no more samples than a list may have entries.
  std::uint64_t TitleBytes(const Titles& titles) const {
    const Box& sizes = titles.sizes;
    const std::uint64_t field = sizes.type == FourCc("stsz") ? bytes_.Big32(sizes.begin + 4) : kMaxTitleBytes;
    if (field > 0) return titles.samples * std::min(field, kMaxTitleBytes);
    std::uint64_t bytes = 0;
    const auto listed = static_cast<std::int64_t>(std::min<std::uint64_t>(titles.samples, sizes.size() / 4));
    for (std::int64_t i = 0; i < listed; ++i) {
      bytes += std::min<std::uint64_t>(bytes_.Big32(sizes.begin + 12 + 4 * i), kMaxTitleBytes);
    }
    return bytes;
  }

  std::uint64_t PcmEntries() {
    std::uint64_t entries = 0;
    const std::uint64_t count =
        std::min<std::uint64_t>(bytes_.Big32(track_.chunk_map.begin + 4), track_.chunk_map.size() / 12);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::int64_t at = track_.chunk_map.begin + 8 + static_cast<std::int64_t>(12 * i);
      const std::uint64_t first = std::max<std::uint64_t>(bytes_.Big32(at), 1);
      const std::uint64_t next = i + 1 < count ? bytes_.Big32(at + 12) : track_.chunks + 1;
      const std::uint64_t samples = bytes_.Big32(at + 4);
      if (next > first) entries += (next - first) * ((samples + 1023) / 1024);
    }
    return entries;
  }

  void ReadHandler(const Box& box) {
    track_.sound = track_.sound || bytes_.Has(box.begin + 8, "soun");
    for (const std::string_view other : {"vide", "subp", "clcp"}) {
      track_.other = track_.other || bytes_.Has(box.begin + 8, other);
    }
  }

  Status CheckTable(const Box& box) {
    const std::uint64_t version = bytes_.Byte(box.begin);
    const std::uint64_t count = bytes_.Big32(box.begin + 4);
    for (const Table& table : kTables) {
      if (table.type != box.type) continue;
      COSMOS_RETURN_IF_ERROR(CheckBacked(box, count, table.entry_bytes));
      COSMOS_RETURN_IF_ERROR(budget_.AddMemory(std::min(count, box.size()), 2 * table.entry_bytes));
    }
    switch (box.type) {
      case FourCc("stts"):
        track_.samples_are_bytes = count == 1 && bytes_.Big32(box.begin + 12) == 1;
        return {};
      case FourCc("stsc"): track_.chunk_map = box; return {};
      case FourCc("stco"):
      case FourCc("co64"): track_.chunks = std::max(track_.chunks, count); return {};
      case FourCc("stsz"):
      case FourCc("stz2"): return CheckSizes(box);
      case FourCc("trun"): return CheckRun(box);
      case FourCc("elst"):
        // FFmpeg reads only as many entries as fit in the box.
        track_.edits = std::max(track_.edits, std::min(count, box.size() / (version == 1 ? 20 : 12)));
        return {};
      case FourCc("sgpd"): return CheckBacked(box, bytes_.Big32(box.begin + (version >= 1 ? 12 : 8)), 1);
      case FourCc("senc"): return CheckUnbacked(count);
      case FourCc("saiz"):
      case FourCc("saio"): return CheckAuxiliary(box);
      case FourCc("sidx"):
        return budget_.AddMemory(bytes_.Big16(box.begin + (version == 0 ? 22 : 30)), FragmentBytes());
      case FourCc("iinf"):
        return CheckBacked(box, version == 0 ? bytes_.Big16(box.begin + 4) : count, kItemBytes);
      case FourCc("cmov"):
        return {StatusCode::kMedia, "the file's header is compressed (cmov), which is not supported"};
      default: return {};
    }
  }

  Status CheckSizes(const Box& box) {
    const bool compact = box.type == FourCc("stz2");
    const std::uint64_t field = compact ? 0 : bytes_.Big32(box.begin + 4);
    const std::uint64_t count = bytes_.Big32(box.begin + 8);
    track_.samples = std::max(track_.samples, count);
    // With one size for all samples the table is short whatever its count, but the data is not.
    track_.sizes = box;
    if (field > 0) return CheckUnbacked(count);
    const std::uint64_t bits = compact ? bytes_.Byte(box.begin + 7) : 32;
    return CheckBacked(box, count * std::max<std::uint64_t>(bits, 4) / 8, 1);
  }

  Status CheckRun(const Box& box) {
    const std::uint32_t flags = bytes_.Big32(box.begin) & 0xffffff;
    std::uint64_t entry_bytes = 0;
    for (const std::uint32_t field : {0x100, 0x200, 0x400, 0x800}) entry_bytes += flags & field ? 4 : 0;
    const std::uint64_t count = bytes_.Big32(box.begin + 4);
    COSMOS_RETURN_IF_ERROR(budget_.AddMemory(count, kSampleBytes));
    const bool follows =
        !titles_.empty() && titles_.back().id == fragment_track_ && titles_.back().sizes.end == 0;
    if (!follows) titles_.push_back({.id = fragment_track_, .samples = 0, .sizes = {}});
    titles_.back().samples += count;
    return entry_bytes > 0 ? CheckBacked(box, count, entry_bytes) : CheckUnbacked(count);
  }

  // For encrypted files: a byte for each sample (saiz), unless one serves all, or offsets (saio).
  Status CheckAuxiliary(const Box& box) {
    const std::int64_t at = box.begin + 4 + (bytes_.Byte(box.begin + 3) & 1 ? 8 : 0);
    if (box.type == FourCc("saio")) {
      return CheckBacked(box, bytes_.Big32(at), bytes_.Byte(box.begin) == 0 ? 4 : 8);
    }
    const std::uint64_t count = bytes_.Big32(at + 1);
    return bytes_.Byte(at) == 0 ? CheckBacked(box, count, 1) : CheckUnbacked(count);
  }

  Status CheckBacked(const Box& box, std::uint64_t count, std::uint64_t entry_bytes) const {
    const std::uint64_t claimed = count * entry_bytes;
    return claimed > std::max(box.size(), kHarmless) ? DamagedTable(NameOf(box.type)) : Status();
  }

  // Counts samples without bytes in the table, which must have had at least one each in the file. (A
  // truncated file has fewer bytes than it had.)
  Status CheckUnbacked(std::uint64_t count) {
    unbacked_ += count;
    const bool possible = unbacked_ <= static_cast<std::uint64_t>(bytes_.size()) + kHarmless;
    return possible ? Status()
                    : Status(StatusCode::kMedia,
                             "the container is damaged: it counts more samples than its bytes can hold");
  }

  std::uint64_t FragmentBytes() const { return kFragmentBytes * (1 + tracks_); }

  ByteScanner& bytes_;
  TableBudget& budget_;
  std::uint64_t tracks_ = 0;
  std::uint64_t unbacked_ = 0;
  Track track_;
  std::uint64_t fragment_track_ = 0;
  std::vector<Titles> titles_;
  std::unordered_set<std::uint64_t> chapters_;
};

}  // namespace

Status CheckMp4(ByteScanner& bytes, TableBudget& budget) { return Mp4Check(bytes, budget).Run(); }

}  // namespace cosmos
