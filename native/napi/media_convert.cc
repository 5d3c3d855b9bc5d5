#include "napi/media_convert.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "napi/clip.h"
#include "napi/decoder_pool.h"
#include "napi/environment.h"
#include "napi/gpu.h"
#include "napi/image.h"

namespace cosmos {
namespace {

constexpr int kMaxFrames = 64;
constexpr int kMaxSide = 4096;
constexpr int kMaxThreads = 64;
constexpr double kMaxSeconds = 1e9;  // about thirty years
constexpr std::uint32_t kMaxStills = 65535;
constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr std::int64_t kMaxSafeInteger = (std::int64_t{1} << 53) - 1;

DecodeLimits ReadLimits(const Arg& arg) {
  DecodeLimits limits;
  if (const Arg a = arg["maxPixels"]; a.present()) limits.max_pixels = a.Integer(1, kMaxSafeInteger);
  if (const Arg a = arg["maxStreams"]; a.present()) limits.max_streams = a.Int(1, kIntMax);
  if (const Arg a = arg["maxPacketsWithoutFrame"]; a.present()) {
    limits.max_packets_without_frame = a.Int(1, kIntMax);
  }
  if (const Arg a = arg["maxWallSeconds"]; a.present()) limits.max_wall_seconds = a.Number(0, kMaxSeconds);
  if (const Arg a = arg["maxBytes"]; a.present()) limits.max_bytes = a.Integer(1, kMaxSafeInteger);
  return limits;
}

FrameRule ReadFrameRule(const Arg& arg, int frames) {
  constexpr const char* kExpected = R"("card", "curator", "rounded", { indices } or { timestamps })";
  if (arg.value().IsString()) {
    const std::string name = arg.String();
    if (name == "card") return NamedFrameRule::kCard;
    if (name == "curator") return NamedFrameRule::kCurator;
    if (name == "rounded") return NamedFrameRule::kRounded;
    arg.Fail(kExpected);
  }
  const bool is_choice = arg.value().IsObject() && !arg.value().IsArray();
  if (!is_choice) arg.Fail(kExpected);
  const Arg indices = arg["indices"];
  const Arg times = arg["timestamps"];
  if (indices.present() == times.present()) arg.Fail(kExpected, indices.present() ? "both" : "neither");
  const Arg& list = indices.present() ? indices : times;
  const std::uint32_t count = list.Length(1);
  if (count != static_cast<std::uint32_t>(frames)) {
    list.Fail("an array of " + std::to_string(frames) + ", one for each frame of the clip");
  }
  FrameIndices chosen;
  FrameTimes seconds;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (indices.present()) {
      chosen.values.push_back(list[i].Integer(0, kMaxSafeInteger));
    } else {
      seconds.values.push_back(list[i].Number(0, kMaxSeconds));
    }
  }
  if (indices.present()) return chosen;
  return seconds;
}

Napi::Object ToValue(Napi::Env env, const FrameInfo& frame) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", static_cast<double>(frame.index));
  object.Set("pts", frame.pts);
  object.Set("keyframe", frame.keyframe);
  return object;
}

Napi::Object ToValue(Napi::Env env, const DecodeReport& report) {
  const auto warnings = Napi::Array::New(env, report.warnings.size());
  for (std::uint32_t i = 0; i < report.warnings.size(); ++i) warnings.Set(i, report.warnings[i]);

  Napi::Object object = Napi::Object::New(env);
  object.Set("container", report.container);
  object.Set("codec", report.codec);
  object.Set("pixelFormat", report.pixel_format);
  object.Set("decoder", report.decoder);
  object.Set("decoderReason", report.decoder_reason);
  object.Set("width", report.width);
  object.Set("height", report.height);
  object.Set("rotation", report.rotation);
  object.Set("duration", report.duration);
  object.Set("frameCount", static_cast<double>(report.frame_count));
  object.Set("decoded", static_cast<double>(report.decoded));
  object.Set("discarded", static_cast<double>(report.discarded));
  object.Set("seeks", report.seeks);
  object.Set("bytesRead", static_cast<double>(report.bytes_read));
  object.Set("damaged", report.damaged);
  object.Set("openMs", report.open_ms);
  object.Set("waitMs", report.wait_ms);
  object.Set("decodeMs", report.decode_ms);
  object.Set("convertMs", report.convert_ms);
  object.Set("warnings", warnings);
  return object;
}

std::vector<StillSource> ReadStills(const Arg& images) {
  const std::uint32_t count = images.Length(1);
  if (count > kMaxStills) images.Fail("an array of at most " + std::to_string(kMaxStills));
  std::vector<RgbImageArg> read;  // of size 0 x 0 for encoded images
  read.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Arg image = images[i];
    const bool raw = image.value().IsObject() && !image.value().IsTypedArray();
    read.push_back(raw ? ReadRgbImage(image) : RgbImageArg{0, 0, image.Bytes()});
  }
  std::vector<StillSource> stills;
  stills.reserve(count);
  for (const RgbImageArg& image : read) {
    stills.push_back({Environment::Of(image.data.Env()).Pin(image.data), image.width, image.height});
  }
  return stills;
}

}  // namespace

ClipRequest ReadClipRequest(const Arg& options) {
  ClipRequest request;
  request.shape.frames = options["frames"].Int(1, kMaxFrames);
  request.shape.height = options["height"].Int(1, kMaxSide);
  request.shape.width = options["width"].Int(1, kMaxSide);
  if (const Arg a = options["start"]; a.present()) request.start = a.Number(0, kMaxSeconds);
  if (const Arg a = options["end"]; a.present()) {
    request.end = a.Number(0, kMaxSeconds);
    if (*request.end <= request.start) a.Fail("more than options.start");
  }
  if (const Arg a = options["frameRule"]; a.present()) {
    request.frame_rule = ReadFrameRule(a, request.shape.frames);
  }
  if (const Arg a = options["frameTolerance"]; a.present())
    request.frame_tolerance = a.Number(0, kMaxSeconds);
  if (const Arg a = options["threads"]; a.present()) request.threads = a.Int(1, kMaxThreads);
  if (const Arg a = options["keepImages"]; a.present()) request.keep_images = a.Boolean();
  if (const Arg a = options["gpu"]; a.present()) request.gpu = NativeGpu::From(a);
  if (const Arg a = options["backlog"]; a.present()) request.backlog = a.Int(0, kIntMax);
  if (const Arg a = options["limits"]; a.present()) request.limits = ReadLimits(a);
  return request;
}

std::shared_ptr<DecoderPool> ReadDecoders(const Arg& options) {
  const Arg decoders = options["decoders"];
  if (!decoders.present()) return nullptr;
  return NativeDecoderPool::From(decoders);
}

Windows ReadWindows(const Arg& windows) {
  constexpr double kShortest = 1e-3;  // seconds; below that a window can hold no frame
  constexpr double kLeastDifferent = 1e-3;
  constexpr double kMostDifferent = 765;  // three components of 255
  Windows read;
  if (const Arg cuts = windows["cuts"]; cuts.present()) {
    const std::uint32_t count = cuts.Length(0);
    if (count > kMaxCuts) cuts.Fail("an array of at most " + std::to_string(kMaxCuts));
    read.cuts.emplace();
    for (std::uint32_t i = 0; i < count; ++i) {
      const double cut = cuts[i].Number(0, kMaxSeconds);
      if (i > 0 && cut <= read.cuts->back()) cuts[i].Fail("more than the cut before");
      read.cuts->push_back(cut);
    }
  } else if (const Arg shots = windows["shots"]; shots.present()) {
    read.shots = ShotOptions{.threshold = shots["threshold"].Number(kLeastDifferent, kMostDifferent),
                             .min_seconds = shots["minSeconds"].Number(0, kMaxSeconds)};
  } else {
    read.seconds = windows["seconds"].Number(kShortest, kMaxSeconds);
    read.stride = windows["stride"].Number(kShortest, kMaxSeconds);
  }
  return read;
}

MediaSource ReadMediaSource(const Arg& source) {
  const Arg path = source["path"];
  const Arg bytes = source["bytes"];
  if (path.present() == bytes.present()) {
    source.Fail("an object with either `path` or `bytes`", path.present() ? "both" : "neither");
  }
  if (path.present()) return MediaPath{path.String()};
  const Napi::Uint8Array array = bytes.Bytes();
  return Environment::Of(array.Env()).Pin(array);
}

ClipSource ReadClipSource(const Arg& source) {
  const Arg images = source["images"];
  if (!images.present()) return ReadMediaSource(source);
  if (source["path"].present() || source["bytes"].present()) {
    source.Fail("an object with one of `path`, `bytes` and `images`", "`images` beside another");
  }
  return ReadStills(images);
}

Napi::Value ToValue(Napi::Env env, DecodedClip&& decoded) {
  const auto frames = Napi::Array::New(env, decoded.frames.size());
  for (std::uint32_t i = 0; i < decoded.frames.size(); ++i) frames.Set(i, ToValue(env, decoded.frames[i]));

  Napi::Object object = Napi::Object::New(env);
  object.Set("clip", NativeClip::New(env, std::move(decoded.clip)));
  object.Set("start", decoded.start);
  object.Set("end", decoded.end);
  object.Set("frames", frames);
  if (!decoded.images.empty()) {
    const auto images = Napi::Array::New(env, decoded.images.size());
    for (std::uint32_t i = 0; i < decoded.images.size(); ++i) images.Set(i, ToValue(env, decoded.images[i]));
    object.Set("images", images);
  }
  object.Set("report", ToValue(env, decoded.report));
  return object;
}

}  // namespace cosmos
