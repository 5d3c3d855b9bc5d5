#include "isolation/gpu_messages.h"

#include <limits>
#include <utility>

#include "isolation/channel.h"
#include "isolation/wire.h"

namespace cosmos {
namespace {

constexpr std::uint32_t kMaxSlots = 64;
constexpr std::uint32_t kMaxPicturesOfPacket = 4096;
constexpr double kMaxPixels = 1e18;
constexpr double kLongestSeconds = 1e9;

template <typename E>
void PutEnum(WireWriter& out, E value) {
  out.Put(static_cast<std::uint8_t>(value));
}
template <typename E>
E GetEnum(WireReader& in, E last) {
  return static_cast<E>(in.Get<std::uint8_t>(0, static_cast<std::uint8_t>(last)));
}

// FFmpeg knows the codec, and it is one of video: a table of what was learnt stays small.
AVCodecID GetCodec(WireReader& in) {
  const auto codec = static_cast<AVCodecID>(in.Get<int>(0, AV_CODEC_ID_FIRST_AUDIO - 1));
  if (avcodec_get_type(codec) != AVMEDIA_TYPE_VIDEO) in.Refuse();
  return codec;
}

void PutWork(WireWriter& out, const DecodeWork& work) {
  out.Put(static_cast<int>(work.codec));
  out.Put(work.pixels);
  out.Put(work.setup_seconds);
}

DecodeWork GetWork(WireReader& in) {
  DecodeWork work;
  work.codec = GetCodec(in);
  work.pixels = in.Get<double>(0, kMaxPixels);
  work.setup_seconds = in.Get<double>(0, 1);
  return work;
}

// Values that FFmpeg passes on from a file without knowing them mean nothing to anyone.
int KnownOr(int value, int count, int otherwise) { return value >= 0 && value < count ? value : otherwise; }

void PutColour(WireWriter& out, AVColorSpace matrix, AVColorRange range) {
  out.Put(KnownOr(matrix, AVCOL_SPC_NB, AVCOL_SPC_UNSPECIFIED));
  out.Put(KnownOr(range, AVCOL_RANGE_NB, AVCOL_RANGE_UNSPECIFIED));
}

void GetColour(WireReader& in, AVColorSpace& matrix, AVColorRange& range) {
  matrix = static_cast<AVColorSpace>(in.Get<int>(0, AVCOL_SPC_NB - 1));
  range = static_cast<AVColorRange>(in.Get<int>(0, AVCOL_RANGE_NB - 1));
}

void PutNote(WireWriter& out, const GpuNote& note) {
  PutEnum(out, note.kind);
  out.Put(note.id);
  if (note.kind != GpuNote::Kind::kLearn) return;
  PutEnum(out, note.path);
  PutWork(out, note.work);
  out.Put(note.seconds);
}

GpuNote GetNote(WireReader& in) {
  GpuNote note;
  note.kind = GetEnum(in, GpuNote::Kind::kCount);
  note.id = in.Get<std::uint32_t>();
  if (note.kind != GpuNote::Kind::kLearn) return note;
  note.path = GetEnum(in, DecodePath::kSoftware);
  note.work = GetWork(in);
  note.seconds = in.Get<double>(0, kLongestSeconds);
  return note;
}

void PutStream(WireWriter& out, const CodedStream& stream) {
  out.Put(static_cast<int>(stream.codec));
  out.Put(stream.format.chroma);
  out.Put(stream.format.bit_depth);
  out.PutBool(stream.format.rgb);
  out.Put(stream.width);
  out.Put(stream.height);
  PutColour(out, stream.color_space, stream.color_range);
  out.PutBool(stream.can_skip);
  out.PutBytes(stream.headers);
}

CodedStream GetStream(WireReader& in) {
  CodedStream stream;
  stream.codec = GetCodec(in);
  stream.format.chroma = in.Get<int>(0, 3);
  stream.format.bit_depth = in.Get<int>(1, 32);
  stream.format.rgb = in.GetBool();
  stream.width = in.Get<int>(0, wire::kMaxSide);
  stream.height = in.Get<int>(0, wire::kMaxSide);
  GetColour(in, stream.color_space, stream.color_range);
  stream.can_skip = in.GetBool();
  const ByteView headers = in.GetBytes(kMaxHeaderBytes);
  stream.headers.assign(headers.begin(), headers.end());
  return stream;
}

void PutPacket(WireWriter& out, const GpuCall& call) {
  const CodedPacket& packet = call.packet;
  out.Put(packet.place);
  out.Put(packet.order);
  for (const bool flag : {packet.has_picture, packet.shown, packet.wanted, packet.hidden, packet.damaged}) {
    out.PutBool(flag);
  }
  out.PutBool(packet.vpx_colour.has_value());
  if (packet.vpx_colour) PutColour(out, packet.vpx_colour->matrix, packet.vpx_colour->range);
  out.Put(call.memory_bytes);
  out.Put(static_cast<std::int64_t>(packet.second_field));
  out.PutBytes(call.memory_bytes > 0 ? ByteView() : packet.data);
}

void GetPacket(WireReader& in, GpuCall& call) {
  CodedPacket& packet = call.packet;
  packet.place = in.Get<int>(0);
  packet.order = in.Get<int>(0);
  for (bool* flag : {&packet.has_picture, &packet.shown, &packet.wanted, &packet.hidden, &packet.damaged}) {
    *flag = in.GetBool();
  }
  if (in.GetBool()) {
    packet.vpx_colour.emplace();
    GetColour(in, packet.vpx_colour->matrix, packet.vpx_colour->range);
  }
  call.memory_bytes = in.Get<std::int64_t>(0, wire::kMaxInteger);
  const auto second_field = in.Get<std::int64_t>(0, wire::kMaxInteger);
  packet.data = in.GetBytes(kMaxMessageBytes);
  const auto bytes =
      call.memory_bytes > 0 ? call.memory_bytes : static_cast<std::int64_t>(packet.data.size());
  if (second_field > bytes || (call.memory_bytes > 0 && !packet.data.empty())) in.Refuse();
  packet.second_field = static_cast<std::size_t>(second_field);
}

void PutFrames(WireWriter& out, const GpuCall& call) {
  for (const bool turned : {call.orientation.transpose, call.orientation.flip_x, call.orientation.flip_y}) {
    out.PutBool(turned);
  }
  out.Put(static_cast<std::uint32_t>(call.frames.size()));
  for (const GpuCall::Frame& frame : call.frames) {
    out.Put(frame.slot);
    out.Put(frame.id);
  }
}

void GetFrames(WireReader& in, GpuCall& call) {
  for (bool* turned : {&call.orientation.transpose, &call.orientation.flip_x, &call.orientation.flip_y}) {
    *turned = in.GetBool();
  }
  call.frames.resize(in.GetCount(kMaxSlots, 8));
  for (GpuCall::Frame& frame : call.frames) {
    frame.slot = in.Get<int>(0, kMaxSlots - 1);
    frame.id = in.Get<std::uint32_t>(1);
  }
}

}  // namespace

Bytes Encode(const GpuCall& call) {
  WireWriter out;
  out.Put(static_cast<std::uint32_t>(call.notes.size()));
  for (const GpuNote& note : call.notes) PutNote(out, note);
  PutEnum(out, call.kind);
  switch (call.kind) {
    case GpuCall::Kind::kNotes:
    case GpuCall::Kind::kOpenPart:
    case GpuCall::Kind::kDrain: break;
    case GpuCall::Kind::kWhyNot:
    case GpuCall::Kind::kSetup:
    case GpuCall::Kind::kIdle:
    case GpuCall::Kind::kOpen: PutStream(out, call.stream); break;
    case GpuCall::Kind::kBeginTurn:
      PutWork(out, call.work);
      out.PutBool(call.path.has_value());
      if (call.path) PutEnum(out, *call.path);
      break;
    case GpuCall::Kind::kSend: PutPacket(out, call); break;
    case GpuCall::Kind::kMakeClip: PutFrames(out, call); break;
  }
  return out.Take();
}

Result<GpuCall> DecodeGpuCall(ByteView bytes) {
  WireReader in(bytes);
  GpuCall call;
  call.notes.resize(in.GetCount(kMaxGpuNotes, 5));
  for (GpuNote& note : call.notes) note = GetNote(in);
  call.kind = GetEnum(in, GpuCall::Kind::kMakeClip);
  switch (call.kind) {
    case GpuCall::Kind::kNotes:
    case GpuCall::Kind::kOpenPart:
    case GpuCall::Kind::kDrain: break;
    case GpuCall::Kind::kWhyNot:
    case GpuCall::Kind::kSetup:
    case GpuCall::Kind::kIdle:
    case GpuCall::Kind::kOpen: call.stream = GetStream(in); break;
    case GpuCall::Kind::kBeginTurn:
      call.work = GetWork(in);
      if (in.GetBool()) call.path = GetEnum(in, DecodePath::kSoftware);
      break;
    case GpuCall::Kind::kSend: GetPacket(in, call); break;
    case GpuCall::Kind::kMakeClip: GetFrames(in, call); break;
  }
  if (!in.complete()) return wire::Malformed("about what the GPU is to do");
  return call;
}

Bytes Encode(const GpuAnswer& answer) {
  WireWriter out;
  PutEnum(out, answer.status.code());
  out.PutString(wire::Shortened(answer.status.message()));
  out.PutString(wire::Shortened(answer.text));
  out.Put(answer.seconds);
  out.Put(answer.decoders);
  PutEnum(out, answer.path);
  out.PutBool(answer.hardware_was_busy);
  out.PutBool(answer.part);
  out.Put(answer.clip);
  out.Put(answer.refused_at_once);
  out.Put(answer.refused);
  out.PutBool(answer.gave_up);
  out.PutString(wire::Shortened(answer.reason));
  out.Put(static_cast<std::uint32_t>(answer.pictures.size()));
  for (const GpuPicture& picture : answer.pictures) {
    out.PutBool(picture.damaged);
    out.Put(picture.id);
    for (const int value :
         {picture.place, picture.refused, picture.width, picture.height, static_cast<int>(picture.layout)}) {
      out.Put(value);
    }
  }
  return out.Take();
}

Result<GpuAnswer> DecodeGpuAnswer(ByteView bytes) {
  WireReader in(bytes);
  GpuAnswer answer;
  const auto code = GetEnum(in, StatusCode::kInternal);
  std::string message = in.GetString(wire::kMaxText);
  if (code != StatusCode::kOk) answer.status = Status(code, std::move(message));
  answer.text = in.GetString(wire::kMaxText);
  answer.seconds = in.Get<double>(0, kLongestSeconds);
  answer.decoders = in.Get<int>(0);
  answer.path = GetEnum(in, DecodePath::kSoftware);
  answer.hardware_was_busy = in.GetBool();
  answer.part = in.GetBool();
  answer.clip = in.Get<std::uint32_t>();
  answer.refused_at_once = in.Get<int>(0);
  answer.refused = in.Get<int>(0);
  answer.gave_up = in.GetBool();
  answer.reason = in.GetString(wire::kMaxText);
  answer.pictures.resize(in.GetCount(kMaxPicturesOfPacket, 25));
  for (GpuPicture& picture : answer.pictures) {
    picture.damaged = in.GetBool();
    picture.id = in.Get<std::uint32_t>();
    picture.place = in.Get<int>(0);
    picture.refused = in.Get<int>(0);
    picture.width = in.Get<int>(0, wire::kMaxSide);
    picture.height = in.Get<int>(0, wire::kMaxSide);
    picture.layout = static_cast<AVPixelFormat>(in.Get<int>(-1, AV_PIX_FMT_NB - 1));
    const bool has_layout = picture.layout == AV_PIX_FMT_NV12 || picture.layout == AV_PIX_FMT_P016LE ||
                            picture.layout == AV_PIX_FMT_YUV444P || picture.layout == AV_PIX_FMT_YUV444P16LE;
    if (picture.id != 0 && (!has_layout || picture.width == 0 || picture.height == 0)) in.Refuse();
  }
  if (!in.complete()) return wire::Malformed("about what the GPU has done");
  return answer;
}

}  // namespace cosmos
