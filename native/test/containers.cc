#include "containers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <map>

#include "media_support.h"

namespace cosmos::test {
namespace {

using View = std::span<const std::uint8_t>;

void Append(Bytes& bytes, View more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

// The number of bytes before the children of a box; nothing for a box without children.
std::optional<std::size_t> HeadOf(const std::string& type) {
  constexpr std::size_t kVideoSampleEntry = 78;
  static const std::map<std::string, std::size_t> heads = {{"moov", 0},
                                                           {"trak", 0},
                                                           {"mdia", 0},
                                                           {"minf", 0},
                                                           {"stbl", 0},
                                                           {"edts", 0},
                                                           {"moof", 0},
                                                           {"traf", 0},
                                                           {"stsd", 8},
                                                           {"avc1", kVideoSampleEntry},
                                                           {"hvc1", kVideoSampleEntry},
                                                           {"hev1", kVideoSampleEntry}};
  const auto found = heads.find(type);
  return found == heads.end() ? std::nullopt : std::optional(found->second);
}

// A table with entries of `entry` bytes after their count.
void AppendTable(Box& table, const Box& more, std::size_t entry) {
  const std::size_t count_at = table.type == "stsz" ? 8 : 4;
  PutBig32(table.head, count_at, Big32(table.head, count_at) + Big32(more.head, count_at));
  Append(table.head, View(more.head).subspan(count_at + 4));
  EXPECT_EQ((table.head.size() - count_at - 4) % entry, 0U);
}

std::int64_t PlaceOf(const std::vector<Box>& file, const std::string& type) {
  std::int64_t place = 0;
  for (const Box& box : file) {
    if (box.type == type) return place;
    place += static_cast<std::int64_t>(WriteBoxes({box}).size());
  }
  ADD_FAILURE() << "no " << type;
  return 0;
}

struct Element {
  std::uint32_t id = 0;
  std::size_t body = 0;
  std::size_t end = 0;
};

Element ElementAt(View bytes, std::size_t at, std::size_t end) {
  const auto length_of = [](std::uint8_t first) {
    std::size_t length = 1;
    while (length < 8 && (first & (0x80 >> (length - 1))) == 0) ++length;
    return length;
  };
  Element element;
  const std::size_t id_bytes = length_of(bytes[at]);
  for (std::size_t i = 0; i < id_bytes; ++i) element.id = element.id << 8 | bytes[at + i];
  at += id_bytes;
  const std::size_t size_bytes = length_of(bytes[at]);
  std::uint64_t size = bytes[at] & (0xff >> size_bytes);
  bool unknown = size == (0xffU >> size_bytes);
  for (std::size_t i = 1; i < size_bytes; ++i) {
    size = size << 8 | bytes[at + i];
    unknown = unknown && bytes[at + i] == 0xff;
  }
  element.body = at + size_bytes;
  element.end = unknown ? end : std::min<std::uint64_t>(end, element.body + size);
  return element;
}

constexpr std::uint32_t kSegment = 0x18538067;
constexpr std::uint32_t kTracks = 0x1654AE6B;
constexpr std::uint32_t kTrackEntry = 0xAE;

void VoidReferences(Bytes& bytes, std::size_t begin, std::size_t end, int& count) {
  constexpr std::uint32_t kCluster = 0x1F43B675;
  constexpr std::uint32_t kBlockGroup = 0xA0;
  constexpr std::uint32_t kReferenceBlock = 0xFB;
  for (std::size_t at = begin; at + 1 < end;) {
    const Element element = ElementAt(bytes, at, end);
    if (element.id == kSegment || element.id == kCluster || element.id == kBlockGroup)
      VoidReferences(bytes, element.body, element.end, count);
    if (element.id == kReferenceBlock) {
      bytes[at] = 0xEC;
      ++count;
    }
    at = element.end;
  }
}

// With a size field of eight bytes.
Bytes WriteElement(std::initializer_list<std::uint8_t> id, View body) {
  Bytes bytes(id);
  bytes.push_back(1);
  for (int shift = 48; shift >= 0; shift -= 8) bytes.push_back(body.size() >> shift & 0xff);
  Append(bytes, body);
  return bytes;
}

}  // namespace

std::filesystem::path WriteFile(const std::string& name, View bytes) {
  const std::filesystem::path path = ScratchFolder() / name;
  const auto characters = std::as_bytes(bytes);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(characters.data()), static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::uint32_t Big32(View bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
}

void PutBig32(Bytes& bytes, std::size_t at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

std::vector<Box> ParseBoxes(View bytes) {
  std::vector<Box> boxes;
  while (bytes.size() >= 8) {
    const std::size_t size = Big32(bytes, 0);
    EXPECT_TRUE(size >= 8 && size <= bytes.size());
    if (size < 8 || size > bytes.size()) break;
    Box box{.type = {bytes.begin() + 4, bytes.begin() + 8}, .head = {}, .children = {}};
    const View body = bytes.subspan(8, size - 8);
    const std::size_t head = HeadOf(box.type).value_or(body.size());
    box.head.assign(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(head));
    box.children = ParseBoxes(body.subspan(head));
    boxes.push_back(std::move(box));
    bytes = bytes.subspan(size);
  }
  return boxes;
}

Bytes WriteBoxes(const std::vector<Box>& boxes) {
  Bytes bytes;
  for (const Box& box : boxes) {
    const Bytes inner = WriteBoxes(box.children);
    const std::size_t at = bytes.size();
    bytes.resize(at + 4);
    PutBig32(bytes, at, static_cast<std::uint32_t>(8 + box.head.size() + inner.size()));
    bytes.insert(bytes.end(), box.type.begin(), box.type.end());
    Append(bytes, box.head);
    Append(bytes, inner);
  }
  return bytes;
}

Box& FindBox(std::vector<Box>& boxes, std::span<const std::string> path) {
  const auto found = std::ranges::find(boxes, path.front(), &Box::type);
  if (found == boxes.end()) {
    ADD_FAILURE() << "no box " << path.front();
    static Box none;
    return none;
  }
  return path.size() == 1 ? *found : FindBox(found->children, path.subspan(1));
}

Box& SampleTable(std::vector<Box>& file, const std::string& table) {
  const std::vector<std::string> path = {"moov", "trak", "mdia", "minf", "stbl", table};
  return FindBox(file, path);
}

Box& SampleEntry(std::vector<Box>& file) { return SampleTable(file, "stsd").children.front(); }

Bytes JoinMp4(const std::vector<std::filesystem::path>& files) {
  std::vector<Box> joined = ParseBoxes(ReadFile(files.front()));
  Box moov = joined.back();
  EXPECT_EQ(moov.type, "moov");
  joined.pop_back();
  std::vector<Box> tables = {moov};
  std::erase_if(tables[0].children, [](const Box& box) { return box.type == "udta"; });
  const std::vector<std::string> track = {"moov", "trak"};
  std::erase_if(FindBox(tables, track).children, [](const Box& box) { return box.type == "edts"; });
  for (std::uint32_t number = 2; number <= files.size(); ++number) {
    std::vector<Box> next = ParseBoxes(ReadFile(files[number - 1]));
    const std::int64_t moved = static_cast<std::int64_t>(WriteBoxes(joined).size()) - PlaceOf(next, "mdat");
    const std::vector<std::string> data = {"mdat"};
    joined.push_back(FindBox(next, data));

    const std::uint32_t samples = Big32(SampleTable(tables, "stsz").head, 8);
    const std::uint32_t chunks = Big32(SampleTable(tables, "stco").head, 4);
    SampleTable(tables, "stsd").children.push_back(SampleEntry(next));
    PutBig32(SampleTable(tables, "stsd").head, 4, number);
    Box& keys = SampleTable(next, "stss");
    for (std::size_t at = 8; at < keys.head.size(); at += 4)
      PutBig32(keys.head, at, Big32(keys.head, at) + samples);
    Box& places = SampleTable(next, "stco");
    for (std::size_t at = 8; at < places.head.size(); at += 4) {
      PutBig32(places.head, at, static_cast<std::uint32_t>(Big32(places.head, at) + moved));
    }
    Box& runs = SampleTable(next, "stsc");
    for (std::size_t at = 8; at < runs.head.size(); at += 12) {
      PutBig32(runs.head, at, Big32(runs.head, at) + chunks);
      PutBig32(runs.head, at + 8, number);
    }
    AppendTable(SampleTable(tables, "stts"), SampleTable(next, "stts"), 8);
    AppendTable(SampleTable(tables, "stsz"), SampleTable(next, "stsz"), 4);
    AppendTable(SampleTable(tables, "stss"), keys, 4);
    AppendTable(SampleTable(tables, "stco"), places, 4);
    AppendTable(SampleTable(tables, "stsc"), runs, 12);
  }
  // Version 0, with 32-bit durations.
  const auto lengthen = [&](std::initializer_list<std::string> path, std::size_t at) {
    const std::vector<std::string> steps(path);
    Box& box = FindBox(tables, steps);
    PutBig32(box.head, at, Big32(box.head, at) * static_cast<std::uint32_t>(files.size()));
  };
  lengthen({"moov", "mvhd"}, 16);
  lengthen({"moov", "trak", "tkhd"}, 20);
  lengthen({"moov", "trak", "mdia", "mdhd"}, 16);
  joined.push_back(tables[0]);
  return WriteBoxes(joined);
}

Bytes JoinFlv(const std::vector<std::filesystem::path>& files, std::uint32_t milliseconds_each) {
  constexpr std::size_t kFileHeader = 13;
  constexpr std::size_t kTagHeader = 11;
  Bytes joined;
  std::uint32_t offset = 0;
  for (const auto& file : files) {
    Bytes bytes = ReadFile(file);
    if (joined.empty()) joined.assign(bytes.begin(), bytes.begin() + kFileHeader);
    for (std::size_t at = kFileHeader; at + kTagHeader < bytes.size();) {
      const std::size_t size = (Big32(bytes, at) & 0xffffff) + kTagHeader + 4;
      if (bytes[at] == 9) {  // video
        const std::uint32_t time = (Big32(bytes, at + 4) >> 8 | std::uint32_t{bytes[at + 7]} << 24) + offset;
        for (int i = 0; i < 3; ++i) bytes[at + 4 + i] = static_cast<std::uint8_t>(time >> (16 - 8 * i));
        bytes[at + 7] = static_cast<std::uint8_t>(time >> 24);
        Append(joined, View(bytes).subspan(at, size));
      }
      at += size;
    }
    offset += milliseconds_each;
  }
  return joined;
}

Bytes WithoutReferences(Bytes matroska) {
  int count = 0;
  VoidReferences(matroska, 0, matroska.size(), count);
  EXPECT_GT(count, 0);
  return matroska;
}

Bytes MarkedEncrypted(const Bytes& matroska) {
  const Bytes key_id(16, 7);
  // ContentEncodings, ContentEncoding, ContentEncodingType 1, ContentEncryption, ContentEncAlgo 5,
  // ContentEncKeyID.
  Bytes encryption = {0x47, 0xE1, 0x81, 5};
  Append(encryption, WriteElement({0x47, 0xE2}, key_id));
  Bytes encoding = {0x50, 0x33, 0x81, 1};
  Append(encoding, WriteElement({0x50, 0x35}, encryption));
  const Bytes encodings = WriteElement({0x6D, 0x80}, WriteElement({0x62, 0x40}, encoding));

  Bytes marked;
  for (std::size_t at = 0; at < matroska.size();) {
    const Element element = ElementAt(matroska, at, matroska.size());
    if (element.id == kSegment) {
      Append(marked, View(matroska).subspan(at, element.body - at));
      at = element.body;
      continue;
    }
    if (element.id == kTracks) {
      const Element track = ElementAt(matroska, element.body, element.end);
      EXPECT_EQ(track.id, kTrackEntry);
      Bytes entry(matroska.begin() + static_cast<std::ptrdiff_t>(track.body),
                  matroska.begin() + static_cast<std::ptrdiff_t>(track.end));
      Append(entry, encodings);
      Append(marked, WriteElement({0x16, 0x54, 0xAE, 0x6B}, WriteElement({0xAE}, entry)));
    } else {
      Append(marked, View(matroska).subspan(at, element.end - at));
    }
    at = element.end;
  }
  return marked;
}

}  // namespace cosmos::test
