#include "flat_h264.h"

#include "bit_writer.h"

namespace cosmos::test {

std::vector<std::uint8_t> FlatPicture(int width, int height) {
  const auto columns = static_cast<unsigned>(width / 16);
  const auto rows = static_cast<unsigned>(height / 16);
  BitWriter sequence;
  sequence.Put(66 << 16 | 51, 24);  // Baseline profile, level 5.1
  sequence.Golomb({0, 0, 2, 1});    // id, 4-bit frame_num, shown as decoded, one reference
  sequence.Put(0, 1).Golomb({columns - 1, rows - 1});
  sequence.Put(0b1100, 4);  // frame_mbs_only, direct_8x8, no cropping, no VUI
  BitWriter pictures;
  pictures.Golomb({0, 0}).Put(0, 2).Golomb({0, 0, 0}).Put(0, 3).Golomb({0, 0, 0}).Put(0b100, 3);
  BitWriter slice;
  slice.Golomb({0, 7, 0}).Put(0, 4);           // first macroblock, I slice, PPS; frame_num
  slice.Golomb({0}).Put(0, 2).Golomb({0, 1});  // idr_pic_id, marking; QP, no deblocking
  // Predicted as the mean of what is beside it, without a residual.
  for (unsigned i = 0; i < columns * rows; ++i) slice.Golomb({3, 0, 0}).Put(1, 1);
  std::vector<std::uint8_t> picture = sequence.Unit(0x67);
  for (const auto& unit : {pictures.Unit(0x68), slice.Unit(0x65)})
    picture.insert(picture.end(), unit.begin(), unit.end());
  return picture;
}

}  // namespace cosmos::test
