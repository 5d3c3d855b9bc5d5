// Small edits of files that the ffmpeg command made, for what it does not write itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cosmos::test {

using Bytes = std::vector<std::uint8_t>;

std::filesystem::path WriteFile(const std::string& name, std::span<const std::uint8_t> bytes);

std::uint32_t Big32(std::span<const std::uint8_t> bytes, std::size_t at);
void PutBig32(Bytes& bytes, std::size_t at, std::uint32_t value);

// A box of an mp4: what stands before its children, or all of it where it has none.
struct Box {
  std::string type;
  Bytes head;
  std::vector<Box> children;
};

std::vector<Box> ParseBoxes(std::span<const std::uint8_t> bytes);
Bytes WriteBoxes(const std::vector<Box>& boxes);
// The first box along a path of types, e.g. {"moov", "trak"}; fails the test when there is none.
Box& FindBox(std::vector<Box>& boxes, std::span<const std::string> path);
Box& SampleTable(std::vector<Box>& file, const std::string& table);
Box& SampleEntry(std::vector<Box>& file);

// The mp4 files one behind the other in one track, each with a sample entry of its own. Without audio, edits
// and B frames, `moov` behind `mdat`, and of one time scale.
Bytes JoinMp4(const std::vector<std::filesystem::path>& files);

// FLV files one behind the other, each with the sequence header that it has, in running time.
Bytes JoinFlv(const std::vector<std::filesystem::path>& files, std::uint32_t milliseconds_each);

// Every ReferenceBlock of a Matroska file made void: the muxer of an alpha channel that leaves them out.
Bytes WithoutReferences(Bytes matroska);

// A Matroska file whose first track says that it is encrypted; it has no index and an unknown size.
Bytes MarkedEncrypted(const Bytes& matroska);

}  // namespace cosmos::test
