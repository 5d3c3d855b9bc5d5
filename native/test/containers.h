// Edits files made by the ffmpeg command into what it does not write itself.
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

// An mp4 box: the bytes before its children, or all of its bytes if it has none.
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

// Concatenates mp4 files into one track, each with its own sample entry. The files have no audio, edits or B
// frames, `moov` after `mdat`, and one time scale.
Bytes JoinMp4(const std::vector<std::filesystem::path>& files);

// Concatenates FLV files, each with its sequence header, with continuous times.
Bytes JoinFlv(const std::vector<std::filesystem::path>& files, std::uint32_t milliseconds_each);

// Voids every ReferenceBlock of a Matroska file, as some muxers of alpha channels leave them out.
Bytes WithoutReferences(Bytes matroska);

// Marks the first track of a Matroska file as encrypted; the result has no index and unknown sizes.
Bytes MarkedEncrypted(const Bytes& matroska);

}  // namespace cosmos::test
