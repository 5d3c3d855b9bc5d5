#include "remux.h"

#include <gtest/gtest.h>

#include "media_support.h"

namespace cosmos::test {
namespace {

struct CloseOutput {
  void operator()(AVFormatContext* context) const {
    avio_closep(&context->pb);
    avformat_free_context(context);
  }
};

bool Copy(const std::filesystem::path& from, const std::filesystem::path& to, const PacketEdit& edit) {
  AVFormatContext* opened = nullptr;
  if (avformat_open_input(&opened, from.c_str(), nullptr, nullptr) < 0) return false;
  const ff::FormatContext input(opened);
  if (avformat_find_stream_info(input.get(), nullptr) < 0) return false;
  AVFormatContext* made = nullptr;
  if (avformat_alloc_output_context2(&made, nullptr, nullptr, to.c_str()) < 0) return false;
  const std::unique_ptr<AVFormatContext, CloseOutput> output(made);
  const AVStream* source = input->streams[0];
  AVStream* stream = avformat_new_stream(output.get(), nullptr);
  if (!stream || avcodec_parameters_copy(stream->codecpar, source->codecpar) < 0) return false;
  stream->codecpar->codec_tag = 0;
  stream->time_base = source->time_base;
  stream->avg_frame_rate = source->avg_frame_rate;
  if (avio_open(&output->pb, to.c_str(), AVIO_FLAG_WRITE) < 0) return false;
  // An edit list would begin at the first packet's picture, which an edit may show later than others.
  AVDictionary* options = nullptr;
  av_dict_set(&options, "use_editlist", "0", 0);
  const int begun = avformat_write_header(output.get(), &options);
  av_dict_free(&options);
  if (begun < 0) return false;
  const ff::Packet packet(av_packet_alloc());
  bool written = true;
  for (int number = 0; av_read_frame(input.get(), packet.get()) >= 0; ++number) {
    edit(*packet, number, [&](AVPacket& edited) {
      av_packet_rescale_ts(&edited, source->time_base, stream->time_base);
      edited.pos = -1;
      written = av_write_frame(output.get(), &edited) >= 0 && written;
    });
    av_packet_unref(packet.get());
  }
  return av_write_trailer(output.get()) >= 0 && written;
}

}  // namespace

std::filesystem::path Remux(const std::filesystem::path& from, const std::string& name,
                            const PacketEdit& edit) {
  std::filesystem::path path = ScratchFolder() / name;
  if (!std::filesystem::exists(path)) {
    EXPECT_TRUE(Copy(from, path, edit)) << "could not make " << name << " of " << from;
  }
  return path;
}

}  // namespace cosmos::test
