// The packets of a clip in another container, edited on the way: what muxers do that the ffmpeg command does
// not.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "ffmpeg/ffmpeg.h"

namespace cosmos::test {

// Takes a packet, its number, and what writes one.
using PacketEdit =
    std::function<void(AVPacket& packet, int number, const std::function<void(AVPacket&)>& write)>;

// Makes `name` in the scratch folder, in the container that the name asks for, once per process. Fails the
// test when it cannot.
std::filesystem::path Remux(const std::filesystem::path& from, const std::string& name,
                            const PacketEdit& edit);

}  // namespace cosmos::test
