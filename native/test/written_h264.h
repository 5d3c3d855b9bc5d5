// H.264 that no encoder here makes, written by hand: every macroblock uncompressed, nothing predicted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bit_writer.h"

namespace cosmos::test {

using Bytes = std::vector<std::uint8_t>;

// A picture parameter set of number 0, with which slices say how edges are smoothed.
Bytes PictureSet();

// Grey macroblocks, each a little brighter than the one before. `intra`: of a slice that says so.
void PutMacroblocks(BitWriter& slice, int count, unsigned luma, bool intra);

// A packet on its way into a file, its times in units of the file's `rate`.
struct WrittenPacket {
  Bytes data;
  int pts = 0;
  int dts = 0;
  bool keyframe = false;
};

// Makes `name` in the scratch folder. `container` is FFmpeg's name of a muxer; `sets` are parameter sets.
std::filesystem::path WriteH264(const std::string& name, const std::string& container, int size,
                                const Bytes& sets, const std::vector<WrittenPacket>& packets, int rate);

// A picture, in decoding order.
struct WrittenPicture {
  int number = 0;      // what it looks like, and when it is shown
  unsigned frame = 0;  // its number among the pictures that others refer to
  unsigned order = 0;  // its number in the order of presentation
  bool idr = false;
  bool reference = true;
  bool resets = false;  // drops all references, and numbers begin anew
};

enum class WrittenTimes { kRight, kOfDecoding };

// 64 x 64 pixels, 25 pictures a second, shown up to two pictures later than they are decoded.
std::filesystem::path WritePictures(const std::string& name, const std::string& container,
                                    const std::vector<WrittenPicture>& pictures, WrittenTimes times);

}  // namespace cosmos::test
