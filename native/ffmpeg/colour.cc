#include "ffmpeg/colour.h"

#include <cstring>

namespace cosmos::ff {
namespace {

template <typename Enumeration>
unsigned NumberIn(const Enumeration& field) {
  unsigned number = 0;
  static_assert(sizeof(number) == sizeof(field));
  std::memcpy(&number, &field, sizeof(number));
  return number;
}

}  // namespace

AVColorSpace MatrixFrom(unsigned number) {
  return number < AVCOL_SPC_NB ? static_cast<AVColorSpace>(number) : AVCOL_SPC_UNSPECIFIED;
}

AVColorSpace MatrixIn(const AVColorSpace& field) { return MatrixFrom(NumberIn(field)); }

AVColorRange RangeIn(const AVColorRange& field) {
  const unsigned number = NumberIn(field);
  return number < AVCOL_RANGE_NB ? static_cast<AVColorRange>(number) : AVCOL_RANGE_UNSPECIFIED;
}

}  // namespace cosmos::ff
