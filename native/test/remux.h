// Remuxes a clip and edits its packets on the way, to do what muxers do but the ffmpeg command does not.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "ffmpeg/ffmpeg.h"

namespace cosmos::test {

// Takes a packet, its number, and a function that writes a packet.
using PacketEdit =
    std::function<void(AVPacket& packet, int number, const std::function<void(AVPacket&)>& write)>;

// Makes `name` in the scratch folder, in the container of its extension, once per process. Fails the test
// when it cannot.
std::filesystem::path Remux(const std::filesystem::path& from, const std::string& name,
                            const PacketEdit& edit);

}  // namespace cosmos::test
