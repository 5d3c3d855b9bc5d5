#include "media/nvdec_decoder.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "media/bitstream.h"

namespace cosmos {
namespace {

// A status of these ends the clip; any other sends its run to the CPU.
bool IsFinal(StatusCode code) {
  return code == StatusCode::kDeviceLost || code == StatusCode::kCancelled || code == StatusCode::kTimeout;
}

// Others have pictures without a packet of their own, or packets without a picture to decode.
bool OnePacketIsOnePicture(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO: return true;
    default: return false;
  }
}

}  // namespace

// Called by the library, which no exception may pass through.
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

Result<std::unique_ptr<NvdecDecoder>> NvdecDecoder::Open(Nvdec& nvdec, const AVCodecParameters& parameters,
                                                         const DecodeLimits& limits,
                                                         std::function<Status()> may_go_on) {
  COSMOS_RETURN_IF_ERROR(nvdec.device().MakeCurrent());
  auto filter = BitstreamFilter::Open(parameters);
  if (!filter.ok()) return filter.TakeStatus();
  auto stream = cuda::MakeStream(nvdec.device());
  if (!stream.ok()) return stream.TakeStatus();
  auto event = cuda::MakeEvent(nvdec.device());
  if (!event.ok()) return event.TakeStatus();
  std::unique_ptr<NvdecDecoder> decoder(new NvdecDecoder(nvdec, std::move(filter).value(),
                                                         std::move(stream).value(), std::move(event).value(),
                                                         limits, std::move(may_go_on)));
  COSMOS_RETURN_IF_ERROR(decoder->OpenParser());
  return decoder;
}

NvdecDecoder::NvdecDecoder(Nvdec& nvdec, BitstreamFilter filter, cuda::Stream stream, cuda::Event event,
                           const DecodeLimits& limits, std::function<Status()> may_go_on)
    : nvdec_(nvdec),
      filter_(std::move(filter)),
      stream_(std::move(stream)),
      event_(std::move(event)),
      limits_(limits),
      may_go_on_(std::move(may_go_on)),
      can_skip_(SkipIsExact(filter_.parameters())),
      one_to_one_(OnePacketIsOnePicture(filter_.parameters().codec_id)),
      session_(nvdec, filter_.parameters(), stream_.get(), event_.get(), limits.max_bytes) {}

NvdecDecoder::~NvdecDecoder() {
  if (!nvdec_.device().MakeCurrent().ok()) return;
  dropping_ = true;
  if (parser_) nvdec_.api().DestroyVideoParser(parser_);
}

Status NvdecDecoder::OpenParser() {
  const auto headers = filter_.headers();
  extended_format_.format.seqhdr_data_length =
      static_cast<unsigned>(std::min(headers.size(), sizeof(extended_format_.raw_seqhdr_data)));
  std::copy_n(headers.begin(), extended_format_.format.seqhdr_data_length, extended_format_.raw_seqhdr_data);
  CUVIDPARSERPARAMS parameters{};
  parameters.CodecType = *NvdecCodec(filter_.parameters().codec_id);
  parameters.ulMaxNumDecodeSurfaces = 1;  // until the sequence callback says
  parameters.ulErrorThreshold = 0;
  parameters.ulMaxDisplayDelay = 0;
  parameters.pUserData = this;
  parameters.pfnSequenceCallback = Callback<const CUVIDEOFORMAT, &NvdecDecoder::OnSequence>;
  parameters.pfnDecodePicture = Callback<CUVIDPICPARAMS, &NvdecDecoder::OnDecode>;
  parameters.pfnDisplayPicture = Callback<const CUVIDPARSERDISPINFO, &NvdecDecoder::OnDisplay>;
  parameters.pExtVideoInfo = &extended_format_;
  return nvdec_.device().Check(nvdec_.api().CreateVideoParser(&parser_, &parameters),
                               "NVDEC gives no parser");
}

Status NvdecDecoder::Send(AVPacket& packet, int place, bool wanted) {
  if (!error_.ok()) return error_;
  if (given_up_) {
    ++refused_;
    return {};
  }
  if (Fail(nvdec_.device().MakeCurrent())) return error_;
  // The parser hands a packet's timestamp through to its picture: so it can carry the place.
  packet.pts = place;
  packet.dts = AV_NOPTS_VALUE;
  if (sent_ == 0) first_place_ = place;
  last_place_ = place;
  current_wanted_ = wanted;
  if (wanted) wanted_.push_back(place);
  if (packet.flags & AV_PKT_FLAG_DISCARD) hidden_.push_back(place);
  if (!filter_.Apply(packet, [&](const AVPacket& filtered) { SendFiltered(filtered, place); }))
    Irregular("a packet is damaged");
  return error_;
}

// The headers go with the first packet of a run: after a flush the parser knows of nothing.
void NvdecDecoder::SendFiltered(const AVPacket& packet, int place) {
  constexpr unsigned long kFlags = CUVID_PKT_TIMESTAMP | CUVID_PKT_ENDOFPICTURE;
  if (!error_.ok() || packet.size <= 0) return;
  ++sent_;
  const std::span data(packet.data, static_cast<std::size_t>(packet.size));
  const auto headers = filter_.headers();
  if (fed_ || headers.empty()) {
    Parse(data.data(), data.size(), kFlags, place);
  } else {
    joined_.assign(headers.begin(), headers.end());
    joined_.insert(joined_.end(), data.begin(), data.end());
    Parse(joined_.data(), joined_.size(), kFlags, place);
  }
  if (!one_to_one_ || lags_ || begun_ >= sent_) return;
  // Nothing at the first packet: the parser finds a picture's end in the packet after it. Later: it lost one.
  lags_ = sent_ == 1;
  if (lags_) return;
  Irregular("NVDEC's parser found no picture in a packet");
  begun_ = sent_;
}

void NvdecDecoder::Parse(const std::uint8_t* data, std::size_t bytes, unsigned long flags, int place) {
  CUVIDSOURCEDATAPACKET packet{};
  packet.flags = flags;
  packet.payload = data;
  packet.payload_size = bytes;
  packet.timestamp = place;
  fed_ = true;
  const int refused = refused_;
  Status status =
      nvdec_.device().Check(nvdec_.api().ParseVideoData(parser_, &packet), "NVDEC's parser refused a packet");
  // A callback that failed makes the parser fail, and has said why.
  if (error_.ok() && refused == refused_ && !dropping_) Fail(std::move(status));
}

Status NvdecDecoder::Drain() {
  if (!error_.ok() || given_up_) return error_;
  if (Fail(nvdec_.device().MakeCurrent())) return error_;
  if (fed_) Parse(nullptr, 0, CUVID_PKT_ENDOFSTREAM, 0);
  if (one_to_one_ && begun_ < sent_) Irregular("NVDEC's parser found no picture in a packet");
  drained_ = true;
  return error_;
}

Result<std::optional<Picture>> NvdecDecoder::Receive() {
  while (error_.ok() && !outputs_.empty()) {
    if (!Fail(nvdec_.device().MakeCurrent())) Judge(outputs_.front(), drained_);
    if (!error_.ok()) break;
    if (!outputs_.front().judged) return std::optional<Picture>();
    Output output = std::move(outputs_.front());
    outputs_.pop_front();
    if (!output.hidden) return std::optional(std::move(output.picture));
    if (output.picture.damaged) Irregular("a picture is damaged that others refer to");
  }
  if (!error_.ok()) return error_;
  return std::optional<Picture>();
}

void NvdecDecoder::Reset() {
  filter_.Reset();
  if (error_.ok() && fed_ && !drained_ && nvdec_.device().MakeCurrent().ok()) {
    dropping_ = true;
    Parse(nullptr, 0, CUVID_PKT_ENDOFSTREAM, 0);
    dropping_ = false;
  }
  fed_ = false;
  drained_ = false;
  sent_ = 0;
  begun_ = 0;
  lags_ = false;
  wanted_.clear();
  hidden_.clear();
  outputs_.clear();
  std::ranges::fill(surfaces_, Surface());
}

int NvdecDecoder::OnSequence(const CUVIDEOFORMAT& format) {
  if (dropping_ || given_up_) return 0;
  if (begun_ > 0 && !session_.Fits(format)) {
    Irregular("the size or the format of the pictures changes");
    return 0;
  }
  Status status;
  if (std::int64_t{format.coded_width} * format.coded_height > limits_.max_pixels) {
    status = Status(StatusCode::kLimit, "pictures are larger than maxPixels");
  } else {
    status = session_.Begin(format, may_go_on_);
  }
  if (!status.ok()) {
    given_up_ = !IsFinal(status.code());
    Fail(std::move(status));
    return 0;
  }
  surfaces_.resize(session_.surfaces());
  return session_.surfaces();
}

int NvdecDecoder::OnDecode(CUVIDPICPARAMS& picture) {
  if (dropping_) return 1;
  if (!session_.begun() || picture.CurrPicIdx < 0 ||
      picture.CurrPicIdx >= static_cast<int>(surfaces_.size())) {
    Irregular("NVDEC's parser names a surface that is not there");
    return 0;
  }
  Surface& surface = surfaces_[picture.CurrPicIdx];
  if (!picture.second_field) {
    // Its last picture's status is lost once the surface is written again.
    for (Output& output : outputs_) {
      if (output.surface == picture.CurrPicIdx) Judge(output, /*wait=*/true);
    }
    if (!error_.ok()) return 0;
    ++begun_;
    // One packet is one picture, unless the parser lags behind: then which packet it is of is not known.
    const bool is_current = begun_ == sent_;
    surface = {.skipped = can_skip_ && is_current && !current_wanted_ && picture.ref_pic_flag == 0};
  }
  if (surface.skipped) {
    if (picture.ref_pic_flag) Irregular("one field of a picture is referred to and the other is not");
    return 1;
  }
  surface.decoded = true;
  return Fail(session_.Decode(picture)) && !error_.ok() ? 0 : 1;
}

int NvdecDecoder::OnDisplay(const CUVIDPARSERDISPINFO& shown) {
  if (dropping_) return 1;
  if (shown.picture_index < 0 || shown.picture_index >= static_cast<int>(surfaces_.size())) {
    Irregular("NVDEC's parser shows a surface that is not there");
    return 0;
  }
  if (shown.timestamp < first_place_ || shown.timestamp > last_place_) {
    Irregular("NVDEC's parser gives a picture a timestamp that no packet had");
    return 1;
  }
  Surface& surface = surfaces_[shown.picture_index];
  const int place = static_cast<int>(shown.timestamp);
  const bool wanted = std::ranges::binary_search(wanted_, place);
  surface.shown = true;
  if (!surface.decoded) {
    if (wanted) Irregular("a wanted picture was not decoded");
    return 1;
  }
  Output output{.picture = {.frame = nullptr, .place = place}, .surface = shown.picture_index};
  output.hidden = std::ranges::binary_search(hidden_, place);
  if (wanted) {
    auto frame = session_.Copy(shown);
    if (!frame.ok()) {
      Fail(frame.TakeStatus());
      return error_.ok() ? 1 : 0;
    }
    output.picture.frame = std::move(frame).value();
    // It may lean on pictures that are shown after it.
    output.picture.damaged = AnyDecodedIsDamaged();
    Judge(output, /*wait=*/true);
    if (!error_.ok()) return 0;
  }
  outputs_.push_back(std::move(output));
  return 1;
}

bool NvdecDecoder::AnyDecodedIsDamaged() {
  for (std::size_t i = 0; i < surfaces_.size(); ++i) {
    if (!surfaces_[i].decoded || surfaces_[i].shown) continue;
    auto health = session_.HealthOf(static_cast<int>(i));
    if (!health.ok()) {
      Fail(health.TakeStatus());
      return true;
    }
    if (health.value() == NvdecSession::Health::kDamaged) return true;
  }
  return false;
}

// Whether the picture is whole, as soon as NVDEC knows; at once if `wait`.
void NvdecDecoder::Judge(Output& output, bool wait) {
  constexpr std::chrono::microseconds kAskEvery{200};
  constexpr int kMostTimes = 5000;
  for (int times = 0; !output.judged; ++times) {
    auto health = session_.HealthOf(output.surface);
    Status status = health.ok() ? Status() : health.TakeStatus();
    const bool pending = status.ok() && health.value() == NvdecSession::Health::kNotYetKnown;
    if (pending && !wait) return;
    if (pending && times < kMostTimes) {
      status = may_go_on_();
      if (status.ok()) {
        std::this_thread::sleep_for(kAskEvery);
        continue;
      }
    } else if (pending) {
      status = Status(StatusCode::kEngine, "NVDEC does not finish a picture");
    }
    output.judged = true;
    const bool whole = status.ok() && health.value() == NvdecSession::Health::kWhole;
    if (!whole) output.picture.damaged = true;
    Fail(std::move(status));
  }
}

// Whether something failed. It ends the clip, or counts as damage.
bool NvdecDecoder::Fail(Status status) {
  if (status.ok()) return false;
  if (IsFinal(status.code())) {
    error_ = std::move(status);
  } else {
    Irregular(status.message());
  }
  return true;
}

void NvdecDecoder::Irregular(std::string reason) {
  if (reason_.empty()) reason_ = std::move(reason);
  ++refused_;
}

}  // namespace cosmos
