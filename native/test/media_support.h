// Shared by the media tests: clips made by the ffmpeg command, and the frames it decodes from them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "image/rgb_image.h"
#include "media/clip_reader.h"

namespace cosmos::test {

// A folder that is removed when the process ends.
const std::filesystem::path& ScratchFolder();

// The folder of the shared test media, if available.
std::filesystem::path SharedFolder();

// Runs a command line with /bin/sh and returns its standard output; nothing when it fails.
std::optional<std::string> RunShell(const std::string& command);

// Makes `name` in the scratch folder with `ffmpeg ARGUMENTS name`, once per process. Fails the test when it
// cannot.
std::filesystem::path MakeClip(const std::string& name, const std::string& arguments);

std::vector<std::uint8_t> ReadFile(const std::filesystem::path& path);
// The packets of the video, in decoding order.
std::vector<ff::Packet> PacketsOf(const std::filesystem::path& path);
MediaBytes Borrow(const std::vector<std::uint8_t>& bytes);

struct ReferenceOptions {
  std::string stream = "0:v:0";
  std::string matrix = "bt601";
  std::string range = "tv";
  bool yuv = true;          // false: RGB or grey, which is converted in one step
  std::string filter = {};  // appended, e.g. ",transpose=clock"
};
// SHA-256 of every frame in 8-bit RGB at its own size, in presentation order, as the ffmpeg command decodes
// (everything, on one thread) and converts it.
std::vector<std::string> ReferenceHashes(const std::filesystem::path& path,
                                         const ReferenceOptions& options = {});
std::string Hash(const RgbImage& image);

// A request for this many tiny frames, for tests that only look at `images`.
ClipRequest Frames(int frames);

// All clips of a source; fails the test on an error.
std::vector<DecodedClip> ReadClips(const MediaSource& source, const ClipRequest& request,
                                   std::optional<Windows> windows = {});
// The one clip of a source with its images.
DecodedClip ReadClip(const MediaSource& source, ClipRequest request = {});
// The error of opening or reading; ok when there is none.
Status ReadError(const MediaSource& source, const ClipRequest& request = {});

}  // namespace cosmos::test
