#include "media/nvdec/nvdec_decoder.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

namespace cosmos {
namespace {

// Far more than a parser and its decoder hold back.
constexpr std::size_t kRecentPackets = 1024;

// Other codecs have pictures without a packet of their own, or packets without a picture to decode.
bool OnePacketIsOnePicture(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC: return true;
    default: return false;
  }
}

// VP8, VP9 and AV1 hide pictures until a later packet shows them, but never change the order.
bool Reorders(AVCodecID codec) {
  return codec != AV_CODEC_ID_VP8 && codec != AV_CODEC_ID_VP9 && codec != AV_CODEC_ID_AV1;
}

}  // namespace

// The library calls it, and no exception may pass through a C library.
template <typename Argument, int (NvdecDecoder::*method)(Argument&)>
int CUDAAPI NvdecDecoder::Callback(void* self, std::remove_const_t<Argument>* argument) {
  auto& decoder = *static_cast<NvdecDecoder*>(self);
  if (!argument) return 1;
  try {
    return (decoder.*method)(*argument);
  } catch (const std::exception& error) {
    decoder.error_ = Status(StatusCode::kOutOfMemory, error.what());
    return 0;
  }
}

Result<std::unique_ptr<NvdecDecoder>> NvdecDecoder::Open(Nvdec& nvdec, CodedStream coded,
                                                         const DecodeLimits& limits, const JobGuard& guard) {
  COSMOS_RETURN_IF_ERROR(nvdec.device().MakeCurrent());
  COSMOS_ASSIGN_OR_RETURN(auto stream, cuda::MakeStream(nvdec.device()));
  COSMOS_ASSIGN_OR_RETURN(auto event, cuda::MakeEvent(nvdec.device()));
  std::unique_ptr<NvdecDecoder> decoder(
      new NvdecDecoder(nvdec, std::move(coded), std::move(stream), std::move(event), limits, guard));
  COSMOS_RETURN_IF_ERROR(decoder->OpenParser());
  return decoder;
}

NvdecDecoder::NvdecDecoder(Nvdec& nvdec, CodedStream coded, cuda::Stream stream, cuda::Event event,
                           const DecodeLimits& limits, const JobGuard& guard)
    : nvdec_(nvdec),
      coded_(std::move(coded)),
      stream_(std::move(stream)),
      event_(std::move(event)),
      limits_(limits),
      guard_(guard),
      one_to_one_(OnePacketIsOnePicture(coded_.codec)),
      reorders_(Reorders(coded_.codec)),
      session_(nvdec, coded_, stream_.get(), event_.get(), limits.max_bytes, guard.device_frames()),
      cost_(coded_.codec, std::int64_t{coded_.width} * coded_.height, limits) {}

NvdecDecoder::~NvdecDecoder() { CloseParser(); }

void NvdecDecoder::CloseParser() {
  CUvideoparser parser = std::exchange(parser_, nullptr);
  if (!parser || !nvdec_.device().MakeCurrent().ok()) return;
  closing_ = true;
  nvdec_.api().DestroyVideoParser(parser);
  closing_ = false;
}

Status NvdecDecoder::OpenParser() {
  const auto& headers = coded_.headers;
  extended_format_.format.seqhdr_data_length =
      static_cast<unsigned>(std::min(headers.size(), sizeof(extended_format_.raw_seqhdr_data)));
  std::copy_n(headers.begin(), extended_format_.format.seqhdr_data_length, extended_format_.raw_seqhdr_data);
  CUVIDPARSERPARAMS parameters{};
  parameters.CodecType = *NvdecCodec(coded_.codec);
  parameters.ulMaxNumDecodeSurfaces = 1;  // the sequence callback returns the real number
  parameters.ulErrorThreshold = 0;
  parameters.ulMaxDisplayDelay = 0;
  parameters.pUserData = this;
  parameters.pfnSequenceCallback = Callback<const CUVIDEOFORMAT, &NvdecDecoder::OnSequence>;
  parameters.pfnDecodePicture = Callback<CUVIDPICPARAMS, &NvdecDecoder::OnDecode>;
  parameters.pfnDisplayPicture = Callback<const CUVIDPARSERDISPINFO, &NvdecDecoder::OnDisplay>;
  parameters.pExtVideoInfo = &extended_format_;
  return nvdec_.device().Check(nvdec_.api().CreateVideoParser(&parser_, &parameters),
                               "NVDEC cannot create a parser");
}

Status NvdecDecoder::Send(const CodedPacket& packet) {
  if (!error_.ok()) return error_;
  if (gave_up_) {
    ++refused_;
    return {};
  }
  if (Fail(nvdec_.device().MakeCurrent())) return error_;
  if (!parser_ && Fail(OpenParser())) return error_;
  if (Fail(cost_.Add(packet.data))) return error_;
  Note(packet);
  if (!packet.data.empty()) SendData(packet);
  if (packet.damaged) Refuse("a packet is damaged");
  return error_;
}

void NvdecDecoder::Note(const CodedPacket& packet) {
  if (!recent_.empty() && recent_.back().place == packet.place) return;  // another part of it
  if (sent_ == 0) first_order_ = packet.order;
  current_ = {packet.place, packet.order, packet.wanted, packet.hidden};
  recent_.push_back(current_);
  if (recent_.size() > kRecentPackets) recent_.pop_front();
}

// The headers go with the first packet of a run: a new parser has no parameter sets.
void NvdecDecoder::SendData(const CodedPacket& packet) {
  if (packet.has_picture) ++sent_;
  shown_ = 0;
  std::span<const std::uint8_t> data = packet.data;
  std::size_t second = std::min(packet.second_field, data.size());
  if (!fed_ && !coded_.headers.empty()) {
    joined_ = coded_.headers;
    joined_.insert(joined_.end(), data.begin(), data.end());
    data = joined_;
    second += coded_.headers.size();
  }
  fed_ = true;
  if (packet.vpx_colour) session_.SetVpxColour(*packet.vpx_colour);
  ParsePicture(data.first(second));
  if (second < data.size()) ParsePicture(data.subspan(second));
  CheckPacket(packet.shown);
}

// With CUVID_PKT_ENDOFPICTURE the parser decodes the picture at once, instead of when the next begins, and
// drops anything else in the packet: codecs that hide pictures in a packet go without it.
void NvdecDecoder::ParsePicture(std::span<const std::uint8_t> data) {
  Parse(data, CUVID_PKT_TIMESTAMP | (reorders_ ? CUVID_PKT_ENDOFPICTURE : 0));
}

void NvdecDecoder::Parse(std::span<const std::uint8_t> data, unsigned long flags) {
  CUVIDSOURCEDATAPACKET packet{};
  packet.flags = flags;
  packet.payload = data.data();
  packet.payload_size = data.size();
  // The position in presentation order: the parser takes timestamps that do not rise with presentation for
  // decoding times and reorders them.
  packet.timestamp = current_.order;
  const int refused = refused_;
  Status status =
      nvdec_.device().Check(nvdec_.api().ParseVideoData(parser_, &packet), "NVDEC's parser refused a packet");
  // A failed callback makes the parser fail, and has already recorded the reason.
  if (error_.ok() && refused == refused_) Fail(std::move(status));
}

void NvdecDecoder::CheckPacket(bool shown) {
  if (!reorders_ && shown_ == 0 && shown) Refuse("a packet shows no picture");
  if (!one_to_one_ || lags_ || begun_ >= sent_) return;
  // No picture after the first packet: the parser finds a picture's end in the packet after it. Later: the
  // parser lost a picture.
  lags_ = sent_ == 1;
  if (lags_) return;
  Refuse("NVDEC's parser found no picture in a packet");
  begun_ = sent_;
}

Status NvdecDecoder::Drain() {
  if (!error_.ok() || gave_up_) return error_;
  if (Fail(nvdec_.device().MakeCurrent())) return error_;
  if (fed_ && parser_) Parse({}, CUVID_PKT_ENDOFSTREAM);
  if (one_to_one_ && begun_ < sent_) Refuse("NVDEC's parser found no picture in a packet");
  drained_ = true;
  return error_;
}

Result<std::optional<Picture>> NvdecDecoder::Receive() {
  while (error_.ok() && !outputs_.empty()) {
    if (!Fail(nvdec_.device().MakeCurrent())) CheckHealth(outputs_.front(), drained_);
    if (!error_.ok()) break;
    if (!outputs_.front().checked) return std::optional<Picture>();
    Output output = std::move(outputs_.front());
    outputs_.pop_front();
    if (!output.hidden) return std::optional(std::move(output.picture));
    if (output.picture.damaged) Refuse("a hidden picture is damaged, and others may refer to it");
  }
  if (!error_.ok()) return error_;
  return std::optional<Picture>();
}

// Always recreate the parser; reuse after a callback error is undocumented.
void NvdecDecoder::Reset() {
  if (fed_) CloseParser();
  fed_ = false;
  drained_ = false;
  sent_ = 0;
  begun_ = 0;
  shown_ = 0;
  lags_ = false;
  recent_.clear();
  outputs_.clear();
  std::ranges::fill(surfaces_, Surface());
}

void NvdecDecoder::Release() {
  Reset();
  if (nvdec_.device().MakeCurrent().ok()) session_.End();
}

int NvdecDecoder::OnSequence(const CUVIDEOFORMAT& format) {
  if (closing_ || gave_up_) return 0;
  if (begun_ > 0 && !session_.Fits(format)) {
    Refuse("the size or the format of the pictures changes");
    return 0;
  }
  Status status;
  const std::int64_t pixels = std::int64_t{format.coded_width} * format.coded_height;
  if (pixels > limits_.max_pixels) {
    status = Status(StatusCode::kLimit, "pictures are larger than maxPixels");
  } else {
    status = cost_.SetPixels(pixels);
    if (status.ok()) status = session_.Begin(format, [this] { return guard_.Check(); });
  }
  if (!status.ok()) {
    gave_up_ = !EndsClip(status.code());
    Fail(std::move(status));
    return 0;
  }
  surfaces_.resize(session_.surfaces());
  return session_.surfaces();
}

int NvdecDecoder::OnDecode(CUVIDPICPARAMS& picture) {
  if (closing_) return 1;
  if (!session_.begun() || picture.CurrPicIdx < 0 ||
      picture.CurrPicIdx >= static_cast<int>(surfaces_.size())) {
    Refuse("NVDEC's parser decodes into a surface that does not exist");
    return 0;
  }
  Surface& surface = surfaces_[picture.CurrPicIdx];
  if (!picture.second_field) {
    // The status of the surface's last picture is lost once the surface is written again.
    for (Output& output : outputs_) {
      if (output.surface == picture.CurrPicIdx) CheckHealth(output, /*wait=*/true);
    }
    if (!error_.ok()) return 0;
    ++begun_;
    if (one_to_one_ && begun_ > sent_) Refuse("NVDEC's parser found several pictures in a packet");
    // The picture belongs to the last packet, unless the parser lags: then its packet is not known.
    const bool is_current = begun_ == sent_;
    surface = {.packet = is_current ? std::optional(current_) : std::nullopt,
               .skipped = coded_.can_skip && is_current && !current_.wanted && picture.ref_pic_flag == 0};
  }
  if (surface.skipped) {
    if (picture.ref_pic_flag) Refuse("only one field of a picture is a reference");
    return 1;
  }
  surface.decoded = true;
  return Fail(session_.Decode(picture)) && !error_.ok() ? 0 : 1;
}

int NvdecDecoder::OnDisplay(const CUVIDPARSERDISPINFO& shown) {
  if (closing_) return 1;
  if (shown.picture_index < 0 || shown.picture_index >= static_cast<int>(surfaces_.size())) {
    Refuse("NVDEC's parser shows a surface that does not exist");
    return 0;
  }
  ++shown_;
  const std::optional<Sent> packet = PacketOf(shown);
  if (!packet) {
    Refuse("NVDEC's parser shows a picture that belongs to no packet");
    return 1;
  }
  Surface& surface = surfaces_[shown.picture_index];
  surface.shown = true;
  if (!surface.decoded) {
    if (packet->wanted) Refuse("a wanted picture was not decoded");
    return 1;
  }
  Output output{.picture = {.frame = nullptr, .place = packet->place}, .surface = shown.picture_index};
  output.hidden = packet->hidden;
  if (packet->wanted) {
    auto frame = session_.Copy(shown);
    if (!frame.ok()) {
      Fail(frame.TakeStatus());
      return error_.ok() ? 1 : 0;
    }
    output.picture.frame = std::move(frame).value();
    // The picture may depend on pictures that are shown after it.
    output.picture.damaged = AnyDecodedIsDamaged();
    CheckHealth(output, /*wait=*/true);
    if (!error_.ok()) return 0;
  }
  outputs_.push_back(std::move(output));
  return 1;
}

// The packet whose picture is shown.
std::optional<NvdecDecoder::Sent> NvdecDecoder::PacketOf(const CUVIDPARSERDISPINFO& shown) const {
  if (!reorders_) return shown_ == 1 ? std::optional(current_) : std::nullopt;
  const Surface& surface = surfaces_[static_cast<std::size_t>(shown.picture_index)];
  if (surface.packet) return surface.packet;
  const auto found = std::ranges::find(recent_, shown.timestamp, &Sent::order);
  return found == recent_.end() ? std::nullopt : std::optional(*found);
}

// Shown before the keyframe that the run began at, so it may depend on pictures that were not decoded.
bool NvdecDecoder::IsLeading(const Surface& surface) const {
  return surface.packet && surface.packet->order < first_order_;
}

bool NvdecDecoder::AnyDecodedIsDamaged() {
  for (std::size_t i = 0; i < surfaces_.size(); ++i) {
    if (!surfaces_[i].decoded || surfaces_[i].shown || IsLeading(surfaces_[i])) continue;
    auto health = session_.HealthOf(static_cast<int>(i));
    if (!health.ok()) {
      Fail(health.TakeStatus());
      return true;
    }
    if (health.value() == NvdecSession::Health::kDamaged) return true;
  }
  return false;
}

// Sets `damaged` once NVDEC knows it. Polls until then if `wait`.
void NvdecDecoder::CheckHealth(Output& output, bool wait) {
  constexpr std::chrono::microseconds kPollInterval{200};
  constexpr int kMaxPolls = 5000;
  for (int polls = 0; !output.checked; ++polls) {
    auto health = session_.HealthOf(output.surface);
    Status status = health.ok() ? Status() : health.TakeStatus();
    const bool pending = status.ok() && health.value() == NvdecSession::Health::kNotYetKnown;
    if (pending && !wait) return;
    if (pending && polls < kMaxPolls) {
      status = guard_.Check();
      if (status.ok()) {
        std::this_thread::sleep_for(kPollInterval);
        continue;
      }
    } else if (pending) {
      status = Status(StatusCode::kEngine, "NVDEC does not finish a picture");
    }
    output.checked = true;
    const bool intact = status.ok() && health.value() == NvdecSession::Health::kIntact;
    if (!intact) output.picture.damaged = true;
    Fail(std::move(status));
  }
}

// Records a failure: it ends the clip or counts as damage. False when the status is ok.
bool NvdecDecoder::Fail(Status status) {
  if (status.ok()) return false;
  if (EndsClip(status.code())) {
    error_ = std::move(status);
  } else {
    Refuse(status.message());
  }
  return true;
}

void NvdecDecoder::Refuse(std::string reason) {
  if (reason_.empty()) reason_ = std::move(reason);
  ++refused_;
}

}  // namespace cosmos
