#include "media_support.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>

#include "ffmpeg/ffmpeg.h"
#include "media/demux/demuxer.h"
extern "C" {
#include <libavutil/sha.h>
}

namespace cosmos::test {
namespace {

class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cosmos-test-XXXXXX").string();
    if (mkdtemp(pattern.data())) path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

const std::filesystem::path& ScratchFolder() {
  static const Scratch scratch;
  return scratch.path();
}

std::filesystem::path SharedFolder() {
  const char* named = std::getenv("COSMOS_SHARED_MEDIA");
  return named ? std::filesystem::path(named) : std::filesystem::path(COSMOS_SOURCES) / "../shared/media";
}

std::optional<std::string> RunShell(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");  // NOLINT(cert-env33-c): runs only the tests' own commands
  if (!pipe) return std::nullopt;
  std::string output;
  std::array<char, 65536> buffer{};
  for (std::size_t count = 0; (count = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.append(buffer.data(), count);
  }
  return pclose(pipe) == 0 ? std::optional(output) : std::nullopt;
}

std::filesystem::path MakeClip(const std::string& name, const std::string& arguments) {
  std::filesystem::path path = ScratchFolder() / name;
  if (!std::filesystem::exists(path)) {
    const auto made = RunShell("ffmpeg -v error -y " + arguments + " '" + path.string() + "' </dev/null");
    EXPECT_TRUE(made) << "ffmpeg could not make " << name << " with: " << arguments;
  }
  return path;
}

std::vector<std::uint8_t> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<ff::Packet> PacketsOf(const std::filesystem::path& path) {
  const JobGuard guard(300, std::int64_t{1} << 31);
  auto demuxer = Demuxer::Open(MediaPath{path.string()}, {}, guard);
  if (!demuxer.ok()) ADD_FAILURE() << demuxer.status().message();
  std::vector<ff::Packet> packets;
  while (demuxer.ok()) {
    ff::Packet packet(av_packet_alloc());
    const auto read = demuxer.value()->Read(*packet);
    if (!read.ok() || !read.value()) break;
    packets.push_back(std::move(packet));
  }
  return packets;
}

MediaBytes Borrow(const std::vector<std::uint8_t>& bytes) { return {.data = bytes, .owner = nullptr}; }

namespace {

struct Stream {
  int width = 0;
  int height = 0;
  std::string whole_luma;  // pads an odd size to whole chroma samples
};

Stream Probe(const std::filesystem::path& path, const std::string& stream) {
  const auto output =
      RunShell("ffprobe -v error -select_streams '" + stream.substr(2) +
               "' -show_entries stream=width,height,pix_fmt -of csv=p=0 '" + path.string() + "'");
  Stream found;
  char comma = 0;
  std::string format;
  std::istringstream(output.value_or("")) >> found.width >> comma >> found.height >> comma >> format;
  format = format.substr(0, format.find(','));
  const bool is_odd = found.width % 2 != 0 || found.height % 2 != 0;
  if (is_odd && (format.find("420") != std::string::npos || format.find("422") != std::string::npos)) {
    // By itself the command's scaler stretches the chroma of such sizes, and its padding covers part of it.
    found.whole_luma =
        "extractplanes=y+u+v[y][u][v];[y]pad=iw+mod(iw\\,2):ih+mod(ih\\,2)[w];[w][u][v]"
        "mergeplanes=0x001020:" +
        format + ",";
  }
  return found;
}

}  // namespace

std::vector<std::string> ReferenceHashes(const std::filesystem::path& path, const ReferenceOptions& options) {
  const std::string colours = "in_color_matrix=" + options.matrix + ":in_range=" + options.range +
                              ":out_color_matrix=" + options.matrix +
                              ":flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp";
  // The same two steps as image/to_rgb.h: to full chroma, then to RGB.
  const Stream stream = Probe(path, options.stream);
  const std::string full_chroma =
      stream.whole_luma + "scale=" + colours + ":out_range=" + options.range + ",format=yuv444p16le,";
  const std::string shown =
      ",crop=" + std::to_string(stream.width) + ":" + std::to_string(stream.height) + ":0:0";
  const auto output =
      RunShell("ffmpeg -v quiet -noautorotate -threads 1 -i '" + path.string() + "' -map " + options.stream +
               " -vf \"" + (options.yuv ? full_chroma : "") + "scale=" + colours + ",format=rgb24" +
               (stream.whole_luma.empty() ? "" : shown) + options.filter +
               "\" -fps_mode passthrough -f framehash -hash sha256 - </dev/null");
  EXPECT_TRUE(output) << path;
  std::vector<std::string> hashes;
  std::istringstream lines(output.value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] != '#') hashes.push_back(line.substr(line.rfind(' ') + 1));
  }
  return hashes;
}

std::string Hash(const RgbImage& image) {
  const std::unique_ptr<AVSHA, decltype(&av_free)> sha(av_sha_alloc(), av_free);
  std::array<std::uint8_t, 32> digest{};
  av_sha_init(sha.get(), 256);
  av_sha_update(sha.get(), image.data.data(), image.data.size());
  av_sha_final(sha.get(), digest.data());
  std::string hex;
  for (const std::uint8_t byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

ClipRequest Frames(int frames) {
  ClipRequest request;
  request.shape = {.frames = frames, .height = 8, .width = 8};
  return request;
}

std::vector<DecodedClip> ReadClips(const MediaSource& source, const ClipRequest& request,
                                   std::optional<Windows> windows) {
  const auto cancel = std::make_shared<CancelToken>();
  std::vector<DecodedClip> clips;
  auto reader = ClipReader::Open(source, request, windows, cancel);
  if (!reader.ok()) {
    ADD_FAILURE() << reader.status().message();
    return clips;
  }
  for (;;) {
    auto clip = reader.value()->Next(cancel);
    if (!clip.ok()) {
      ADD_FAILURE() << clip.status().message();
      return clips;
    }
    if (!clip.value()) return clips;
    clips.push_back(*std::move(clip).value());
  }
}

DecodedClip ReadClip(const MediaSource& source, ClipRequest request) {
  request.keep_images = true;
  std::vector<DecodedClip> clips = ReadClips(source, request);
  EXPECT_EQ(clips.size(), 1U);
  if (clips.empty()) return {};
  return std::move(clips.front());
}

Status ReadError(const MediaSource& source, const ClipRequest& request) {
  const auto cancel = std::make_shared<CancelToken>();
  auto reader = ClipReader::Open(source, request, std::nullopt, cancel);
  if (!reader.ok()) return reader.TakeStatus();
  auto clip = reader.value()->Next(cancel);
  return clip.ok() ? Status() : clip.TakeStatus();
}

}  // namespace cosmos::test
