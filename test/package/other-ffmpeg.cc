// An addon that links the FFmpeg of the system, to check that it still works beside that of the package.
#include <node_api.h>

#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

namespace {

int CountFrames(const std::string& path) {
  AVFormatContext* format = nullptr;
  if (avformat_open_input(&format, path.c_str(), nullptr, nullptr) < 0) return -1;
  int frames = 0;
  const AVCodec* codec = nullptr;
  if (avformat_find_stream_info(format, nullptr) < 0) return -2;
  const int stream = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
  if (stream < 0) return -3;
  AVCodecContext* context = avcodec_alloc_context3(codec);
  avcodec_parameters_to_context(context, format->streams[stream]->codecpar);
  if (avcodec_open2(context, codec, nullptr) < 0) return -4;
  AVPacket* packet = av_packet_alloc();
  AVFrame* frame = av_frame_alloc();
  for (bool more = true; more;) {
    more = av_read_frame(format, packet) >= 0;
    if (more && packet->stream_index != stream) {
      av_packet_unref(packet);
      continue;
    }
    avcodec_send_packet(context, more ? packet : nullptr);
    av_packet_unref(packet);
    while (avcodec_receive_frame(context, frame) >= 0) ++frames;
  }
  av_frame_free(&frame);
  av_packet_free(&packet);
  avcodec_free_context(&context);
  avformat_close_input(&format);
  return frames;
}

napi_value Call(napi_env env, napi_callback_info info) {
  napi_value argument;
  std::size_t count = 1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  char path[4096];
  std::size_t length = 0;
  napi_get_value_string_utf8(env, argument, path, sizeof path, &length);
  napi_value result;
  napi_create_int32(env, CountFrames(std::string(path, length)), &result);
  return result;
}

napi_value Init(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "countFrames", NAPI_AUTO_LENGTH, Call, nullptr, &function);
  napi_set_named_property(env, exports, "countFrames", function);
  napi_value configuration;
  napi_create_string_utf8(env, avcodec_configuration(), NAPI_AUTO_LENGTH, &configuration);
  napi_set_named_property(env, exports, "configuration", configuration);
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
