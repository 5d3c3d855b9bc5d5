// Reads colours from the fields of frames and streams.
#pragma once

#include "ffmpeg/ffmpeg.h"

namespace cosmos::ff {

// FFmpeg copies numbers from files into fields of enumerated types. To load one that the type lacks is
// undefined in C++, so such fields are read as numbers. One that no standard defines becomes "unspecified".
AVColorSpace MatrixIn(const AVColorSpace& field);
AVColorRange RangeIn(const AVColorRange& field);
// The same of a number.
AVColorSpace MatrixFrom(unsigned number);

}  // namespace cosmos::ff
