// Makes video whose two fields are coded separately. The encoders of the tests cannot produce it, so it is
// written bit by bit: H.264 with uncompressed macroblocks.
#pragma once

#include <filesystem>
#include <string>

namespace cosmos::test {

constexpr int kFieldCodedSize = 64;  // width and height in pixels

// `container` is the name of an FFmpeg muxer. The fields of a picture share a packet, as cameras write them,
// or have one each, as in broadcasts. Ten pictures per second, every third a keyframe; the lines of the
// bottom field are brighter by 70.
std::filesystem::path FieldCoded(const std::string& container, int pictures, bool together);

}  // namespace cosmos::test
