// Video whose two fields are coded one after the other. No encoder here makes it, so it is written by hand:
// H.264, every macroblock uncompressed.
#pragma once

#include <filesystem>
#include <string>

namespace cosmos::test {

constexpr int kFieldCodedSize = 64;  // pixels, both ways

// `container` is FFmpeg's name of a muxer. Together, as cameras write it, or each field in a packet of its
// own, as in broadcasts. Ten pictures a second, every third a keyframe; the lines of the bottom field are
// brighter by 70.
std::filesystem::path FieldCoded(const std::string& container, int pictures, bool together);

}  // namespace cosmos::test
