#include "field_coded.h"

#include <vector>

#include "written_h264.h"

namespace cosmos::test {
namespace {

constexpr int kColumns = 4;    // macroblocks
constexpr int kFieldRows = 2;  // macroblock rows per field
constexpr int kGroup = 3;      // pictures per GOP

Bytes ParameterSets() {
  BitWriter sequence;
  sequence.Put(77 << 16 | 30, 24);  // Main profile, level 3
  sequence.Golomb({0, 0, 2, 1});    // id, 4-bit frame_num, shown as decoded, one reference
  sequence.Put(0, 1);
  sequence.Golomb({kColumns - 1, kFieldRows - 1});
  sequence.Put(0b00100, 5);  // fields, not adaptive, direct 8 x 8, no cropping, no VUI
  Bytes sets = sequence.Unit(0x67);
  const Bytes second = DeblockingPps();
  sets.insert(sets.end(), second.begin(), second.end());
  return sets;
}

// Every third picture begins with an IDR field. All others are P fields, although nothing in them is
// predicted.
Bytes Field(int picture, bool bottom) {
  const bool idr = picture % kGroup == 0 && !bottom;
  BitWriter slice;
  slice.Golomb({0, idr ? 7U : 5U, 0});
  slice.Put(static_cast<unsigned>(picture % kGroup), 4);
  slice.Put(bottom ? 3 : 2, 2);
  if (idr) {
    slice.Golomb({static_cast<unsigned>(picture / kGroup % 2)});
    slice.Put(0, 2);
  } else {
    slice.Put(0, 3);  // default reference count, order and marking
  }
  slice.Golomb({0, 1});
  PutMacroblocks(slice, kColumns * kFieldRows, static_cast<unsigned>(40 + 15 * picture + (bottom ? 70 : 0)),
                 idr);
  return slice.Unit(idr ? 0x65 : 0x61);
}

}  // namespace

std::filesystem::path FieldCoded(const std::string& container, int pictures, bool together) {
  std::vector<WrittenPacket> packets;
  for (int picture = 0; picture < pictures; ++picture) {
    const bool keyframe = picture % kGroup == 0;
    const int time = 2 * picture;
    WrittenPacket first{Field(picture, false), time, time, keyframe};
    const Bytes bottom = Field(picture, true);
    if (together) {
      first.data.insert(first.data.end(), bottom.begin(), bottom.end());
      packets.push_back(first);
    } else {
      packets.push_back(first);
      packets.push_back({bottom, time + 1, time + 1, false});
    }
  }
  return WriteH264("fields-" + std::to_string(together) + "." + container, container, kFieldCodedSize,
                   ParameterSets(), packets, 20);
}

}  // namespace cosmos::test
