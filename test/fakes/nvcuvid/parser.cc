// The parser, implemented with a libavcodec decoder: its use of buffers determines in which order pictures
// are decoded and displayed, and which surfaces are free.
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "nvcuvid/state.h"

namespace fakes {
namespace {

struct Surfaces {
  std::vector<bool> busy;
};

// Attached to the buffer of a picture in the parser's decoder: the surface is busy while the buffer lives.
struct SurfaceRef {
  std::shared_ptr<Surfaces> surfaces;
  int index = 0;
  AVBufferRef* buffer = nullptr;
};

void Release(void* opaque, std::uint8_t* /*data*/) {
  auto* reference = static_cast<SurfaceRef*>(opaque);
  reference->surfaces->busy[static_cast<std::size_t>(reference->index)] = false;
  av_buffer_unref(&reference->buffer);
  delete reference;
}

int IndexOf(const AVFrame& frame) {
  return static_cast<const SurfaceRef*>(av_buffer_get_opaque(frame.buf[0]))->index;
}

std::atomic<unsigned> next_stream = 1;

class Parser {
 public:
  explicit Parser(const CUVIDPARSERPARAMS& parameters)
      : parameters_(parameters), codec_(CodecOf(parameters.CodecType)) {
    Open();
    TheCounters().parsers.Add(1);
  }
  ~Parser() {
    avcodec_free_context(&context_);
    TheCounters().parsers.Add(-1);
  }

  bool opened() const { return context_ != nullptr; }

  // Returns false if a callback failed.
  bool Parse(const CUVIDSOURCEDATAPACKET& packet) {
    const char* late = std::getenv("COSMOS_FAKE_NVDEC_LATE_PARSER");
    const bool complete = (packet.flags & CUVID_PKT_ENDOFPICTURE) != 0 && !late;
    bool fine = true;
    if (refused_) return false;
    if (packet.payload_size > 0) {
      if (packet.flags & CUVID_PKT_DISCONTINUITY) Misuse("CUVID_PKT_DISCONTINUITY, which does not work");
      fine = Flush(/*only_first=*/false);
      waiting_.assign(packet.payload, packet.payload + packet.payload_size);
      timestamp_ = {};
      if (packet.flags & CUVID_PKT_TIMESTAMP) timestamp_ = packet.timestamp;
      if (complete || !HasStartCodes(codec_)) fine = Flush(HasStartCodes(codec_)) && fine;
    }
    if (packet.flags & CUVID_PKT_ENDOFSTREAM) {
      fine = Flush(/*only_first=*/false) && fine;
      avcodec_send_packet(context_, nullptr);
      fine = Show() && fine;
      Open();
    }
    return fine;
  }

 private:
  // Starts over, without headers and pictures.
  void Open() {
    avcodec_free_context(&context_);
    context_ = OpenCodec(parameters_.CodecType);
    stream_ = next_stream++;
    serial_ = 0;
    references_ = 0;
    headers_.clear();
    times_.clear();
    expected_ = 0;
    surfaces_ = std::make_shared<Surfaces>();
    if (!context_) return;
    context_->opaque = this;
    context_->get_buffer2 = [](AVCodecContext* self, AVFrame* frame, int flags) {
      return static_cast<Parser*>(self->opaque)->Allocate(frame, flags);
    };
  }

  int Allocate(AVFrame* frame, int flags) {
    const int error = avcodec_default_get_buffer2(context_, frame, flags);
    if (error < 0) return error;
    const int index = FreeSurface();
    surfaces_->busy[static_cast<std::size_t>(index)] = true;
    times_.erase(index);
    auto* reference = new SurfaceRef{surfaces_, index, frame->buf[0]};
    frame->buf[0] = av_buffer_create(reference->buffer->data, reference->buffer->size, Release, reference, 0);
    // libavcodec allocates stand-ins for missing pictures before the picture itself, for HEVC after it.
    if (codec_ != AV_CODEC_ID_HEVC || !begun_.frame) begun_ = {frame, index};
    return 0;
  }

  int FreeSurface() {
    std::size_t index = 0;
    while (index < surfaces_->busy.size() && surfaces_->busy[index]) ++index;
    if (index == surfaces_->busy.size()) surfaces_->busy.push_back(false);
    return static_cast<int>(index);
  }

  // With CUVID_PKT_ENDOFPICTURE, NVIDIA's parser drops everything after the packet's first frame or field.
  bool Flush(bool only_first) {
    if (waiting_.empty()) return true;
    const std::vector<std::uint8_t> data = std::move(waiting_);
    waiting_.clear();
    headers_.insert(headers_.end(), data.begin(), data.end());
    if (!HasPicture(codec_, headers_)) return true;
    const std::vector<std::uint8_t> whole = std::move(headers_);
    headers_.clear();
    for (const Bytes picture : SplitPictures(codec_, whole)) {
      if (!Decode(picture)) return false;
      if (only_first) break;
    }
    return true;
  }

  bool Decode(Bytes data) {
    AVPacket* packet = av_packet_alloc();
    av_new_packet(packet, static_cast<int>(data.size()));
    std::memcpy(packet->data, data.data(), data.size());
    begun_ = {};
    // The parser silently drops packets that libavcodec rejects.
    const bool accepted = avcodec_send_packet(context_, packet) >= 0;
    av_packet_free(&packet);
    AVFrame* first = av_frame_alloc();
    std::vector<AVFrame*> shown;
    while (avcodec_receive_frame(context_, first) >= 0) {
      shown.push_back(first);
      first = av_frame_alloc();
    }
    av_frame_free(&first);
    bool fine = true;
    if (begun_.frame) {
      current_ = begun_.index;
      // A picture that is output at once has been moved out of libavcodec's own frame.
      const AVFrame* frame = begun_.frame;
      for (const AVFrame* other : shown)
        if (IndexOf(*other) == begun_.index) frame = other;
      fine = Announce(*frame) && CallDecode(data, /*second_field=*/false);
    } else if (accepted && codec_ == AV_CODEC_ID_H264 && current_ >= 0) {
      fine = CallDecode(data, /*second_field=*/true);
    } else if (announced_ && IsRasl(codec_, data)) {
      // libavcodec skips it. NVIDIA's parser requests its decoding, whatever it refers to, but does not
      // display it; other pictures refer to it.
      current_ = FreeSurface();
      surfaces_->busy[static_cast<std::size_t>(current_)] = true;
      fine = CallDecode(data, /*second_field=*/false);
    }
    for (AVFrame* frame : shown) {
      fine = fine && CallDisplay(*frame);
      av_frame_free(&frame);
    }
    return fine;
  }

  bool Show() {
    bool fine = true;
    AVFrame* frame = av_frame_alloc();
    while (avcodec_receive_frame(context_, frame) >= 0) {
      fine = fine && CallDisplay(*frame);
      av_frame_unref(frame);
    }
    av_frame_free(&frame);
    return fine;
  }

  // Calls the sequence callback if the format has changed.
  bool Announce(const AVFrame& frame) {
    const AVPixFmtDescriptor* pixels = av_pix_fmt_desc_get(context_->pix_fmt);
    const bool macroblocks = codec_ != AV_CODEC_ID_HEVC && codec_ != AV_CODEC_ID_VP9;
    const auto coded = [&](int size) {
      return static_cast<unsigned>(macroblocks ? (size + 15) & ~15 : size);
    };
    CUVIDEOFORMAT format{};
    format.codec = parameters_.CodecType;
    format.progressive_sequence = context_->field_order <= AV_FIELD_PROGRESSIVE;
    format.bit_depth_luma_minus8 = static_cast<unsigned char>(pixels->comp[0].depth - 8);
    format.bit_depth_chroma_minus8 = format.bit_depth_luma_minus8;
    // For references and pictures that wait for display.
    format.min_num_decode_surfaces = codec_ == AV_CODEC_ID_H264 || codec_ == AV_CODEC_ID_HEVC ? 18 : 8;
    const int width = frame.width > context_->coded_width ? frame.width : context_->coded_width;
    const int height = frame.height > context_->coded_height ? frame.height : context_->coded_height;
    format.coded_width = coded(width);
    format.coded_height = coded(height);
    format.display_area = {static_cast<int>(frame.crop_left), static_cast<int>(frame.crop_top),
                           width - static_cast<int>(frame.crop_right),
                           height - static_cast<int>(frame.crop_bottom)};
    if (pixels->nb_components < 3) {
      format.chroma_format = cudaVideoChromaFormat_Monochrome;
    } else if (pixels->log2_chroma_h == 1) {
      format.chroma_format = cudaVideoChromaFormat_420;
    } else {
      format.chroma_format =
          pixels->log2_chroma_w == 1 ? cudaVideoChromaFormat_422 : cudaVideoChromaFormat_444;
    }
    auto& colours = format.video_signal_description;
    colours.video_format = 5;
    colours.video_full_range_flag = context_->color_range == AVCOL_RANGE_JPEG;
    colours.color_primaries = static_cast<unsigned char>(context_->color_primaries);
    colours.transfer_characteristics = static_cast<unsigned char>(context_->color_trc);
    colours.matrix_coefficients = static_cast<unsigned char>(context_->colorspace);
    // As observed with driver 580.159.04: nothing is reported for VP9, whatever the keyframe specifies.
    if (context_->codec_id == AV_CODEC_ID_VP9) {
      colours.video_full_range_flag = 0;
      colours.color_primaries = AVCOL_PRI_UNSPECIFIED;
      colours.transfer_characteristics = AVCOL_TRC_UNSPECIFIED;
      colours.matrix_coefficients = AVCOL_SPC_UNSPECIFIED;
    }
    if (announced_ && std::memcmp(&format, &format_, sizeof format) == 0) return true;
    format_ = format;
    const int answer = parameters_.pfnSequenceCallback(parameters_.pUserData, &format);
    announced_ = answer != 0;
    refused_ = !announced_;
    limit_ = answer > 1 ? answer : static_cast<int>(parameters_.ulMaxNumDecodeSurfaces);
    return announced_;
  }

  bool CallDecode(Bytes data, bool second_field) {
    if (current_ >= limit_) {
      Misuse("the client has " + std::to_string(limit_) + " surfaces, and the parser needs more");
      return false;
    }
    const std::vector<std::uint8_t> copy(data.begin(), data.end());
    const unsigned slice = 0;
    CUVIDPICPARAMS picture{};
    picture.PicWidthInMbs = static_cast<int>((format_.coded_width + 15) / 16);
    picture.FrameHeightInMbs = static_cast<int>((format_.coded_height + 15) / 16);
    picture.CurrPicIdx = current_;
    picture.field_pic_flag = second_field;
    picture.second_field = second_field;
    picture.nBitstreamDataLen = static_cast<unsigned>(copy.size());
    picture.pBitstreamData = copy.data();
    picture.nNumSlices = 1;
    picture.pSliceDataOffsets = &slice;
    picture.ref_pic_flag = IsReference(codec_, data);
    if (!second_field) ++serial_;
    picture.Reserved[kStream] = stream_;
    picture.Reserved[kSerial] = serial_;
    picture.Reserved[kReferencesBefore] = references_;
    if (picture.ref_pic_flag && !second_field) ++references_;
    // The packet's timestamp belongs to its first picture.
    if (!second_field) times_[current_] = {timestamp_.value_or(expected_), timestamp_.has_value()};
    timestamp_.reset();
    return parameters_.pfnDecodePicture(parameters_.pUserData, &picture) != 0;
  }

  bool CallDisplay(const AVFrame& frame) {
    CUVIDPARSERDISPINFO shown{};
    shown.picture_index = IndexOf(frame);
    if (!times_.contains(shown.picture_index)) return true;  // a stand-in of libavcodec
    shown.progressive_frame = !frame.interlaced_frame;
    shown.top_field_first = frame.top_field_first;
    shown.timestamp = TimeOf(shown.picture_index);
    if (const auto fault = Fault("timestamp")) shown.timestamp = *fault;
    return parameters_.pfnDisplayPicture(parameters_.pUserData, &shown) != 0;
  }

  // If a waiting picture has an earlier time, NVIDIA's parser concludes that it is given decoding times. It
  // checks the first pictures for that, and once it was the case sorts all times.
  CUvideotimestamp TimeOf(int surface) {
    constexpr CUvideotimestamp kFrame = 10'000'000 / 30;
    Time& time = times_[surface];
    if (time.waits && (sorts_times_ || unsure_ > 0)) {
      Time* earliest = &time;
      for (auto& [other, waiting] : times_)
        if (waiting.waits && waiting.value < earliest->value) earliest = &waiting;
      if (earliest != &time) sorts_times_ = true;
      std::swap(earliest->value, time.value);
      if (unsure_ > 0) --unsure_;
    }
    time.waits = false;
    expected_ = time.value + kFrame;
    return time.value;
  }

  struct Time {
    CUvideotimestamp value = 0;
    bool waits = false;  // came with a packet, and its picture is not displayed yet
  };
  struct Begun {
    const AVFrame* frame = nullptr;  // owned by libavcodec
    int index = -1;
  };

  const CUVIDPARSERPARAMS parameters_;
  const AVCodecID codec_;
  AVCodecContext* context_ = nullptr;
  std::shared_ptr<Surfaces> surfaces_ = std::make_shared<Surfaces>();
  Begun begun_;
  int current_ = -1;
  std::vector<std::uint8_t> waiting_;
  std::vector<std::uint8_t> headers_;
  std::optional<CUvideotimestamp> timestamp_;  // of the packet
  std::map<int, Time> times_;                  // by surface
  CUvideotimestamp expected_ = 0;
  bool sorts_times_ = false;
  int unsure_ = 16;
  CUVIDEOFORMAT format_{};
  bool announced_ = false;
  bool refused_ = false;  // the client could not create a decoder; permanent
  int limit_ = 0;
  unsigned stream_ = 0;
  unsigned serial_ = 0;
  unsigned references_ = 0;
};

}  // namespace

FAKE_NVCUVID_API cuvidCreateVideoParser(CUvideoparser* created, CUVIDPARSERPARAMS* parameters) {
  if (const CUresult refused = Enter("cuvidCreateVideoParser"); refused != CUDA_SUCCESS) return refused;
  if (!parameters->pfnSequenceCallback || !parameters->pfnDecodePicture || !parameters->pfnDisplayPicture)
    return Error(1);
  auto parser = std::make_unique<Parser>(*parameters);
  if (!parser->opened()) return Error(801);
  *created = parser.release();
  return CUDA_SUCCESS;
}

FAKE_NVCUVID_API cuvidParseVideoData(CUvideoparser parser, CUVIDSOURCEDATAPACKET* packet) {
  if (const CUresult refused = Enter("cuvidParseVideoData"); refused != CUDA_SUCCESS) return refused;
  return static_cast<Parser*>(parser)->Parse(*packet) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

FAKE_NVCUVID_API cuvidDestroyVideoParser(CUvideoparser parser) {
  const CUresult result = Enter("cuvidDestroyVideoParser");
  delete static_cast<Parser*>(parser);
  return result;
}

}  // namespace fakes
