#include "isolation/messages.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "isolation/wire.h"

namespace cosmos {
namespace {

constexpr int kMaxFrames = 64;
constexpr int kMaxThreads = 64;
constexpr std::uint32_t kMaxPictures = 65535;
constexpr std::uint32_t kMaxWarnings = 256;
constexpr std::uint32_t kMaxDetails = 64;
constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr double kMaxSeconds = 1e12;

void PutRule(WireWriter& out, const FrameRule& rule) {
  out.Put(static_cast<std::uint8_t>(rule.index()));
  if (const auto* named = std::get_if<NamedFrameRule>(&rule)) {
    out.Put(static_cast<std::uint8_t>(*named));
  } else if (const auto* indices = std::get_if<FrameIndices>(&rule)) {
    out.Put(static_cast<std::uint32_t>(indices->values.size()));
    for (const std::int64_t index : indices->values) out.Put(index);
  } else if (const auto* times = std::get_if<FrameTimes>(&rule)) {
    out.Put(static_cast<std::uint32_t>(times->values.size()));
    for (const double seconds : times->values) out.Put(seconds);
  }
}

FrameRule GetRule(WireReader& in) {
  switch (in.Get<std::uint8_t>(0, 2)) {
    case 1: {
      FrameIndices indices;
      indices.values.resize(in.GetCount(kMaxFrames, sizeof(std::int64_t)));
      for (std::int64_t& index : indices.values) index = in.Get<std::int64_t>(0, wire::kMaxInteger);
      return indices;
    }
    case 2: {
      FrameTimes times;
      times.values.resize(in.GetCount(kMaxFrames, sizeof(double)));
      for (double& seconds : times.values) seconds = in.Get<double>(0, kMaxSeconds);
      return times;
    }
    default:
      return static_cast<NamedFrameRule>(
          in.Get<std::uint8_t>(0, static_cast<std::uint8_t>(NamedFrameRule::kRounded)));
  }
}

void PutWindows(WireWriter& out, const Windows& windows) {
  out.Put(windows.seconds);
  out.Put(windows.stride);
  out.PutBool(windows.cuts.has_value());
  if (windows.cuts) {
    out.Put(static_cast<std::uint32_t>(windows.cuts->size()));
    for (const double cut : *windows.cuts) out.Put(cut);
  }
  out.PutBool(windows.shots.has_value());
  if (windows.shots) {
    out.Put(windows.shots->threshold);
    out.Put(windows.shots->min_seconds);
  }
}

Windows GetWindows(WireReader& in) {
  Windows windows;
  windows.seconds = in.Get<double>(0, kMaxSeconds);
  windows.stride = in.Get<double>(0, kMaxSeconds);
  if (in.GetBool()) {
    windows.cuts.emplace(in.GetCount(kMaxCuts, sizeof(double)));
    for (double& cut : *windows.cuts) cut = in.Get<double>(0, kMaxSeconds);
  }
  if (in.GetBool()) {
    ShotOptions& shots = windows.shots.emplace();
    shots.threshold = in.Get<double>(0, kMaxSeconds);
    shots.min_seconds = in.Get<double>(0, kMaxSeconds);
  }
  return windows;
}

void PutRequest(WireWriter& out, const ClipRequest& request) {
  out.Put(request.shape.frames);
  out.Put(request.shape.height);
  out.Put(request.shape.width);
  out.Put(request.start);
  out.PutBool(request.end.has_value());
  if (request.end) out.Put(*request.end);
  PutRule(out, request.frame_rule);
  out.Put(request.frame_tolerance);
  out.Put(request.threads);
  out.PutBool(request.keep_images);
  const DecodeLimits& limits = request.limits;
  out.Put(limits.max_pixels);
  out.Put(limits.max_streams);
  out.Put(limits.max_packets_without_frame);
  out.Put(limits.max_wall_seconds);
  out.Put(limits.max_bytes);
}

ClipRequest GetRequest(WireReader& in) {
  ClipRequest request;
  request.shape.frames = in.Get<int>(1, kMaxFrames);
  request.shape.height = in.Get<int>(1, wire::kMaxSide);
  request.shape.width = in.Get<int>(1, wire::kMaxSide);
  request.start = in.Get<double>(0, kMaxSeconds);
  if (in.GetBool()) request.end = in.Get<double>(0, kMaxSeconds);
  request.frame_rule = GetRule(in);
  request.frame_tolerance = in.Get<double>(0, kMaxSeconds);
  request.threads = in.Get<int>(1, kMaxThreads);
  request.keep_images = in.GetBool();
  DecodeLimits& limits = request.limits;
  limits.max_pixels = in.Get<std::int64_t>(1, wire::kMaxInteger);
  limits.max_streams = in.Get<int>(1, kIntMax);
  limits.max_packets_without_frame = in.Get<int>(1, kIntMax);
  limits.max_wall_seconds = in.Get<double>(0, kMaxSeconds);
  limits.max_bytes = in.Get<std::int64_t>(1, wire::kMaxInteger);
  return request;
}

void PutReport(WireWriter& out, const DecodeReport& report) {
  for (const std::string* text : {&report.container, &report.codec, &report.pixel_format, &report.decoder}) {
    out.PutString(wire::Shortened(*text));
  }
  for (const int value : {report.width, report.height, report.rotation, report.seeks, report.damaged}) {
    out.Put(value);
  }
  for (const std::int64_t value : {report.frame_count, report.decoded, report.discarded, report.bytes_read}) {
    out.Put(value);
  }
  for (const double value :
       {report.duration, report.open_ms, report.wait_ms, report.decode_ms, report.convert_ms}) {
    out.Put(value);
  }
  const std::size_t warnings = std::min<std::size_t>(report.warnings.size(), kMaxWarnings);
  out.Put(static_cast<std::uint32_t>(warnings));
  for (std::size_t i = 0; i < warnings; ++i) out.PutString(wire::Shortened(report.warnings[i]));
  out.PutString(wire::Shortened(report.decoder_reason));
}

DecodeReport GetReport(WireReader& in, bool gpu) {
  DecodeReport report;
  for (std::string* text : {&report.container, &report.codec, &report.pixel_format, &report.decoder}) {
    *text = in.GetString(wire::kMaxText);
  }
  if (report.decoder != "software" && report.decoder != "image" && (!gpu || report.decoder != "nvdec"))
    in.Refuse();
  for (int* value : {&report.width, &report.height, &report.rotation, &report.seeks, &report.damaged}) {
    *value = in.Get<int>(0);
  }
  for (std::int64_t* value : {&report.frame_count, &report.decoded, &report.discarded, &report.bytes_read}) {
    *value = in.Get<std::int64_t>(0, wire::kMaxInteger);
  }
  for (double* value :
       {&report.duration, &report.open_ms, &report.wait_ms, &report.decode_ms, &report.convert_ms}) {
    *value = in.Get<double>(-kMaxSeconds, kMaxSeconds);
  }
  report.warnings.resize(in.GetCount(kMaxWarnings, sizeof(std::uint32_t)));
  for (std::string& warning : report.warnings) warning = in.GetString(wire::kMaxText);
  report.decoder_reason = in.GetString(wire::kMaxText);
  return report;
}

// Those that a decoder may report. It knows no engines and no devices.
constexpr std::array kFailures{StatusCode::kCancelled, StatusCode::kInvalidArgument, StatusCode::kSource,
                               StatusCode::kMedia,     StatusCode::kEncrypted,       StatusCode::kLimit,
                               StatusCode::kTimeout,   StatusCode::kOutOfMemory,     StatusCode::kInternal};

}  // namespace

Bytes Encode(const Hello& hello) {
  WireWriter out;
  out.Put(hello.protocol);
  out.PutString(hello.version);
  const Walls& walls = hello.walls;
  for (const bool wall : {walls.system_calls, walls.network, walls.files, walls.memory}) out.PutBool(wall);
  return out.Take();
}

Result<Hello> DecodeHello(ByteView bytes) {
  WireReader in(bytes);
  Hello hello;
  hello.protocol = in.Get<std::uint32_t>();
  hello.version = in.GetString(wire::kMaxText);
  Walls& walls = hello.walls;
  for (bool* wall : {&walls.system_calls, &walls.network, &walls.files, &walls.memory}) *wall = in.GetBool();
  if (!in.complete()) return wire::Malformed("about its greeting");
  return hello;
}

Bytes Encode(const OpenRequest& open) {
  WireWriter out;
  PutRequest(out, open.request);
  out.PutBool(open.windows.has_value());
  if (open.windows) PutWindows(out, *open.windows);
  out.PutBool(open.in_memory);
  out.Put(open.bytes);
  out.PutBool(open.gpu.has_value());
  if (open.gpu) {
    out.PutBool(open.gpu->nvdec);
    out.PutString(wire::Shortened(open.gpu->reason));
  }
  return out.Take();
}

Result<OpenRequest> DecodeOpen(ByteView bytes) {
  WireReader in(bytes);
  OpenRequest open;
  open.request = GetRequest(in);
  if (in.GetBool()) open.windows = GetWindows(in);
  open.in_memory = in.GetBool();
  open.bytes = in.Get<std::int64_t>(0, wire::kMaxInteger);
  if (in.GetBool()) {
    GpuOffer& gpu = open.gpu.emplace();
    gpu.nvdec = in.GetBool();
    gpu.reason = in.GetString(wire::kMaxText);
  }
  if (!in.complete()) return wire::Malformed("about a video's request");
  return open;
}

Bytes Encode(const PicturesRequest& pictures) {
  WireWriter out;
  PutRequest(out, pictures.request);
  out.Put(pictures.bytes);
  out.Put(static_cast<std::uint32_t>(pictures.pictures.size()));
  for (const PicturesRequest::Picture& picture : pictures.pictures) {
    out.Put(picture.offset);
    out.Put(picture.bytes);
    out.Put(picture.width);
    out.Put(picture.height);
  }
  return out.Take();
}

Result<PicturesRequest> DecodePictures(ByteView bytes) {
  WireReader in(bytes);
  PicturesRequest request;
  request.request = GetRequest(in);
  request.bytes = in.Get<std::int64_t>(0, wire::kMaxInteger);
  request.pictures.resize(in.GetCount(kMaxPictures, 24));
  for (PicturesRequest::Picture& picture : request.pictures) {
    picture.offset = in.Get<std::int64_t>(0, request.bytes);
    picture.bytes = in.Get<std::int64_t>(0, request.bytes - picture.offset);
    picture.width = in.Get<int>(0);
    picture.height = in.Get<int>(0);
  }
  if (!in.complete()) return wire::Malformed("about a request of pictures");
  return request;
}

Bytes Encode(const DecodedClip& clip) {
  WireWriter out;
  out.Put(clip.start);
  out.Put(clip.end);
  out.Put(static_cast<std::uint32_t>(clip.frames.size()));
  for (const FrameInfo& frame : clip.frames) {
    out.Put(frame.index);
    out.Put(frame.pts);
    out.PutBool(frame.keyframe);
  }
  out.Put(static_cast<std::uint32_t>(clip.images.size()));
  for (const RgbImage& image : clip.images) {
    out.Put(image.width);
    out.Put(image.height);
  }
  PutReport(out, clip.report);
  const DevicePixels* const on_gpu = clip.clip ? clip.clip->device_pixels() : nullptr;
  out.Put(static_cast<std::uint32_t>(on_gpu ? on_gpu->address() : 0));
  return out.Take();
}

Result<ClipReply> DecodeClipReply(ByteView bytes, const ClipRequest& request) {
  WireReader in(bytes);
  ClipReply reply{.clip = {}, .bytes = static_cast<std::int64_t>(request.shape.bytes())};
  DecodedClip& clip = reply.clip;
  clip.start = in.Get<double>(-kMaxSeconds, kMaxSeconds);
  clip.end = in.Get<double>(-kMaxSeconds, kMaxSeconds);
  clip.frames.resize(in.GetCount(kMaxFrames, 17));
  for (FrameInfo& frame : clip.frames) {
    frame.index = in.Get<std::int64_t>(0, wire::kMaxInteger);
    frame.pts = in.Get<double>(-kMaxSeconds, kMaxSeconds);
    frame.keyframe = in.GetBool();
  }
  clip.images.resize(in.GetCount(kMaxFrames, 8));
  for (RgbImage& image : clip.images) {
    image.width = in.Get<int>(1, wire::kMaxSide);
    image.height = in.Get<int>(1, wire::kMaxSide);
    if (std::int64_t{image.width} * image.height > request.limits.max_pixels) in.Refuse();
    reply.bytes += std::int64_t{3} * image.width * image.height;
  }
  clip.report = GetReport(in, request.gpu != nullptr);
  reply.on_gpu = in.Get<std::uint32_t>();
  const auto frames = static_cast<std::size_t>(request.shape.frames);
  if (clip.frames.size() != frames || clip.images.size() != (request.keep_images ? frames : 0)) in.Refuse();
  if (reply.on_gpu != 0) {
    if (!request.gpu || request.keep_images) in.Refuse();
    reply.bytes = 0;
  }
  if (!in.complete()) return wire::Malformed("about a clip");
  return reply;
}

Bytes Encode(const Status& failure) {
  WireWriter out;
  out.Put(static_cast<std::uint8_t>(failure.code()));
  out.PutString(wire::Shortened(failure.message()));
  const std::size_t details = std::min<std::size_t>(failure.details().size(), kMaxDetails);
  out.Put(static_cast<std::uint32_t>(details));
  for (std::size_t i = 0; i < details; ++i) {
    const auto& [key, value] = failure.details()[i];
    out.PutString(wire::Shortened(key));
    const auto* text = std::get_if<std::string>(&value);
    out.PutBool(text != nullptr);
    if (text) {
      out.PutString(wire::Shortened(*text));
    } else {
      out.Put(std::get<double>(value));
    }
  }
  return out.Take();
}

Status DecodeFailure(ByteView bytes) {
  WireReader in(bytes);
  const auto code = static_cast<StatusCode>(in.Get<std::uint8_t>());
  Status failure(code, in.GetString(wire::kMaxText));
  const std::uint32_t details = in.GetCount(kMaxDetails, 5);
  for (std::uint32_t i = 0; i < details; ++i) {
    std::string key = in.GetString(wire::kMaxText);
    if (in.GetBool()) {
      failure = Status(std::move(failure).With(std::move(key), in.GetString(wire::kMaxText)));
    } else {
      failure = Status(std::move(failure).With(std::move(key), in.Get<double>()));
    }
  }
  if (!in.complete() || std::ranges::find(kFailures, code) == kFailures.end())
    return wire::Malformed("about a failure");
  return failure;
}

}  // namespace cosmos
