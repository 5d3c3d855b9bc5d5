// Writes H.264 bit by bit that the encoders of the tests cannot produce: every macroblock is uncompressed
// (I_PCM), nothing is predicted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bit_writer.h"

namespace cosmos::test {

using Bytes = std::vector<std::uint8_t>;

// A PPS with id 0 that lets slices control the deblocking filter.
Bytes DeblockingPps();

// Grey macroblocks, each a little brighter than the one before. `intra`: in an I slice.
void PutMacroblocks(BitWriter& slice, int count, unsigned luma, bool intra);

// A packet to be muxed, with times in units of the file's `rate`.
struct WrittenPacket {
  Bytes data;
  int pts = 0;
  int dts = 0;
  bool keyframe = false;
};

// Makes `name` in the scratch folder. `container` is the name of an FFmpeg muxer; `sets` are the parameter
// sets.
std::filesystem::path WriteH264(const std::string& name, const std::string& container, int size,
                                const Bytes& sets, const std::vector<WrittenPacket>& packets, int rate);

// A picture, in decoding order.
struct WrittenPicture {
  int number = 0;      // determines its content and when it is shown
  unsigned frame = 0;  // frame_num
  unsigned order = 0;  // picture order count
  bool idr = false;
  bool reference = true;
  bool resets = false;  // memory_management_control_operation 5
};

enum class WrittenTimes { kRight, kOfDecoding };

// 64 x 64 pixels, 25 pictures a second, shown up to two pictures later than they are decoded.
std::filesystem::path WritePictures(const std::string& name, const std::string& container,
                                    const std::vector<WrittenPicture>& pictures, WrittenTimes times);

}  // namespace cosmos::test
