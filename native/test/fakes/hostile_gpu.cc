#include "hostile_gpu.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "flat_h264.h"
#include "isolation/gpu_messages.h"

namespace {

using cosmos::Bytes;
using cosmos::Channel;
using cosmos::GpuAnswer;
using cosmos::GpuCall;
using cosmos::GpuNote;
using cosmos::MessageType;

constexpr std::array<std::uint8_t, 8> kNonsense{0, 0, 1, 0x65, 0x5a, 0x5a, 0x5a, 0x5a};

GpuCall StreamCall(GpuCall::Kind kind) {
  GpuCall call{.kind = kind};
  call.stream = {.codec = AV_CODEC_ID_H264, .format = {}, .width = 96, .height = 80};
  return call;
}

GpuCall Packet(int place) {
  GpuCall call{.kind = GpuCall::Kind::kSend};
  call.packet = {.place = place, .order = place, .data = kNonsense, .second_field = kNonsense.size()};
  return call;
}

// A picture that the server is to keep, large or small, after the notes.
GpuCall Picture(int place, bool large, std::vector<GpuNote> notes = {}) {
  static const Bytes pictures[] = {cosmos::test::FlatPicture(96, 80), cosmos::test::FlatPicture(2048, 1152)};
  GpuCall call = Packet(place);
  call.notes = std::move(notes);
  call.packet.data = pictures[large ? 1 : 0];
  call.packet.second_field = call.packet.data.size();
  call.packet.wanted = true;
  return call;
}

// The pixels of a clip with a number that the server never gave.
class Invented final : public cosmos::DevicePixels {
 public:
  int device() const override { return 0; }
  std::uint64_t address() const override { return 4711; }
  cosmos::Status CopyToHost(std::uint8_t* /*out*/, std::size_t /*bytes*/) const override { return {}; }
};

class Attacker {
 public:
  Attacker(Channel& channel, const cosmos::ClipRequest& request) : channel_(channel), request_(request) {}

  // On the channel of the clip, or on that of the part that was opened last.
  void Say(const Bytes& body) {
    if (!channel().Send(MessageType::kGpuCall, body).ok()) Stop();
  }
  GpuAnswer Call(const GpuCall& call) {
    Say(Encode(call));
    for (;;) {
      auto received = channel().Receive();
      if (!received.ok()) Stop();
      if (received.value()) {
        descriptor_ = std::move(received.value()->descriptor);
        return cosmos::DecodeGpuAnswer(received.value()->body).value();
      }
      pollfd waiting{channel().socket(), POLLIN, 0};
      poll(&waiting, 1, -1);
    }
  }
  bool OpenPart() {
    on_part_ = false;
    if (!Call({.kind = GpuCall::Kind::kOpenPart}).part) return false;
    parts_.emplace_back(std::move(descriptor_));
    on_part_ = true;
    return true;
  }
  void TakeTurn() {
    GpuCall call{.kind = GpuCall::Kind::kBeginTurn, .path = cosmos::DecodePath::kHardware};
    call.work.codec = AV_CODEC_ID_H264;
    Call(call);
  }
  void Open() {
    TakeTurn();
    Call(StreamCall(GpuCall::Kind::kOpen));
  }
  // Of the channel of the part, by the server.
  void AwaitEnd() {
    while (channel().Receive().ok()) usleep(1000);
  }
  void SendFailure() {
    channel_
        .Send(MessageType::kFailure, Encode(cosmos::Status(cosmos::StatusCode::kMedia, "the file is bad")))
        .ok();
    for (;;) pause();
  }
  void SendClip() {
    cosmos::DecodedClip clip;
    clip.frames.resize(static_cast<std::size_t>(request_.shape.frames));
    clip.report.decoder = "nvdec";
    clip.clip = std::make_shared<cosmos::Clip>(request_.shape, std::make_unique<Invented>());
    channel_.Send(MessageType::kClip, Encode(clip)).ok();
  }

 private:
  Channel& channel() { return on_part_ ? parts_.back() : channel_; }
  // The server has ended the channel. A broken part is noticed with the clip, a broken clip ends the process.
  void Stop() {
    if (std::exchange(on_part_, false)) SendClip();
    std::exit(0);
  }

  Channel& channel_;
  const cosmos::ClipRequest& request_;
  std::vector<Channel> parts_;
  bool on_part_ = false;
  cosmos::Descriptor descriptor_;
};

const std::map<std::string, std::function<void(Attacker&)>>& Attacks() {
  static const std::map<std::string, std::function<void(Attacker&)>> attacks = {
      {"gpu-nonsense", [](Attacker& own) { own.Say(Bytes(40, 0xff)); }},
      {"gpu-codec",
       [](Attacker& own) {
         GpuCall call = StreamCall(GpuCall::Kind::kWhyNot);
         call.stream.codec = static_cast<AVCodecID>(99999);
         own.Call(call);
       }},
      {"gpu-headers",
       [](Attacker& own) {
         GpuCall call = StreamCall(GpuCall::Kind::kWhyNot);
         call.stream.headers.resize(cosmos::kMaxHeaderBytes + 1);
         own.Call(call);
       }},
      {"gpu-mpeg2-setup",
       [](Attacker& own) {
         GpuCall call = StreamCall(GpuCall::Kind::kSetup);
         call.stream.codec = AV_CODEC_ID_MPEG2VIDEO;
         own.Call(call);
       }},
      {"gpu-no-turn", [](Attacker& own) { own.Call(StreamCall(GpuCall::Kind::kOpen)); }},
      {"gpu-two-turns",
       [](Attacker& own) {
         own.TakeTurn();
         own.TakeTurn();
       }},
      {"gpu-two-streams",
       [](Attacker& own) {
         own.Open();
         own.Call(StreamCall(GpuCall::Kind::kOpen));
       }},
      {"gpu-huge",
       [](Attacker& own) {
         own.TakeTurn();
         GpuCall call = StreamCall(GpuCall::Kind::kOpen);
         call.stream.width = call.stream.height = 60000;
         own.Call(call);
       }},
      {"gpu-not-open", [](Attacker& own) { own.Call(Packet(0)); }},
      {"gpu-reset",
       [](Attacker& own) { own.Call({.kind = GpuCall::Kind::kDrain, .notes = {{GpuNote::Kind::kReset}}}); }},
      {"gpu-after-turn",
       [](Attacker& own) {
         own.Open();
         GpuCall call = Packet(0);
         call.notes = {{.kind = GpuNote::Kind::kEndTurn}};
         own.Call(call);
       }},
      {"gpu-disorder",
       [](Attacker& own) {
         own.Open();
         own.Call(Packet(5));
         own.Call(Packet(4));
       }},
      {"gpu-endless",
       [](Attacker& own) {
         own.Open();
         for (int place = 0;; ++place) own.Call(Packet(place));
       }},
      {"gpu-no-memory",
       [](Attacker& own) {
         own.Open();
         GpuCall call = Packet(0);
         call.memory_bytes = 1 << 20;
         own.Call(call);
       }},
      {"gpu-large",
       [](Attacker& own) {
         own.Open();
         GpuCall call = Packet(0);
         call.memory_bytes = std::int64_t{1} << 40;
         own.Call(call);
       }},
      {"gpu-frames",
       [](Attacker& own) {
         own.Open();
         own.Call({.kind = GpuCall::Kind::kMakeClip, .frames = {{0, 4711}}});
       }},
      {"gpu-nothing",
       [](Attacker& own) {
         own.Open();
         own.Call({.kind = GpuCall::Kind::kMakeClip});
       }},
      {"gpu-clip",
       [](Attacker& own) {
         own.Open();
         own.SendClip();
       }},
      {"gpu-flood",
       [](Attacker& own) {
         for (;;) own.Call(StreamCall(GpuCall::Kind::kWhyNot));
       }},
      {"gpu-part-no-turn", [](Attacker& own) { own.OpenPart(); }},
      {"gpu-parts-without-end",
       [](Attacker& own) {
         own.Open();
         // One after the other, each with a stream: the slots of the hardware bound those that are open.
         for (int part = 0; part <= cosmos::kMaxGpuParts; ++part) own.OpenPart();
       }},
      {"gpu-part-nonsense",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Say(Bytes(40, 0xff));
         own.Call(StreamCall(GpuCall::Kind::kOpen));
       }},
      {"gpu-part-clip",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call({.kind = GpuCall::Kind::kMakeClip, .frames = {{0, 1}}});
       }},
      {"gpu-part-turn",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call({.kind = GpuCall::Kind::kDrain, .notes = {{.kind = GpuNote::Kind::kEndTurn}}});
       }},
      {"gpu-part-two-streams",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call(StreamCall(GpuCall::Kind::kOpen));
         own.Call(StreamCall(GpuCall::Kind::kOpen));
       }},
      {"gpu-part-disorder",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call(StreamCall(GpuCall::Kind::kOpen));
         own.Call(Packet(5));
         own.Call(Packet(4));
       }},
      {"gpu-part-flood",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call(StreamCall(GpuCall::Kind::kOpen));
         const Bytes drain = Encode(GpuCall{.kind = GpuCall::Kind::kDrain});
         for (;;) own.Say(drain);  // and reads no answer
       }},
      // Much is under way when the time is up: nothing of it may be done any more.
      {"gpu-part-queues",
       [](Attacker& own) {
         own.Open();
         for (int part = 0; part < cosmos::kMaxGpuParts; ++part) {
           own.OpenPart();
           own.Call(StreamCall(GpuCall::Kind::kOpen));
           for (int i = 0; i < 10; ++i) own.Say(Encode(Packet(i)));
           for (int i = 0; i < 100; ++i) own.Say(Encode(GpuCall{.kind = GpuCall::Kind::kDrain}));
         }
         for (;;) pause();
       }},
      {"gpu-part-fails-after",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Say(Bytes(40, 0xff));
         own.AwaitEnd();
         own.SendFailure();
       }},
      {"gpu-part-dies-decoding",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call(StreamCall(GpuCall::Kind::kOpen));
         own.Say(Encode(Packet(0)));
         std::abort();
       }},
      {"gpu-part-hangs",
       [](Attacker& own) {
         own.Open();
         own.OpenPart();
         own.Call(StreamCall(GpuCall::Kind::kOpen));
         for (;;) pause();
       }},
      // Streams that are opened again and again, with large and small pictures by turns, and never finished.
      {"gpu-reopens",
       [](Attacker& own) {
         own.Open();
         for (int round = 0; round < 120; ++round) {
           GpuCall open = StreamCall(GpuCall::Kind::kOpen);
           open.notes = {{GpuNote::Kind::kClose}};
           own.Call(open);
           own.Call(Picture(0, round % 2 == 0));
         }
         std::abort();
       }},
      // The same within one stream of each part: all decoders are made for large pictures, and end with small
      // ones.
      {"gpu-part-resizes",
       [](Attacker& own) {
         own.Open();
         for (int part = 0; part < cosmos::kMaxGpuParts; ++part) {
           own.OpenPart();
           own.Call(StreamCall(GpuCall::Kind::kOpen));
           for (int round = 0; round < 4; ++round)
             own.Call(Picture(round, round % 2 == 0, {{GpuNote::Kind::kReset}}));
         }
         std::abort();
       }},
      {"gpu-dies-asking", [](Attacker&) { std::abort(); }},
      {"gpu-dies-in-turn",
       [](Attacker& own) {
         own.TakeTurn();
         std::abort();
       }},
      {"gpu-dies-open",
       [](Attacker& own) {
         own.Open();
         std::abort();
       }},
      {"gpu-dies-decoding",
       [](Attacker& own) {
         own.Open();
         own.Call(Packet(0));
         std::abort();
       }},
      {"gpu-dies-unanswered",
       [](Attacker& own) {
         own.Open();
         own.Say(Encode(Packet(0)));
         std::abort();
       }},
      {"gpu-hangs",
       [](Attacker& own) {
         own.Open();
         for (;;) pause();
       }},
  };
  return attacks;
}

}  // namespace

bool MisbehaveOnGpu(Channel& channel, const std::string& name, const cosmos::ClipRequest& request) {
  const auto attack = Attacks().find(name);
  if (attack == Attacks().end()) return false;
  Attacker attacker(channel, request);
  attack->second(attacker);
  return true;
}
