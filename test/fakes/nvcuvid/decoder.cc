// The decoder, implemented with a libavcodec decoder that sees only the pictures that it is given.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "nvcuvid/state.h"

namespace fakes {
namespace {

constexpr std::uint8_t kPoison = 0xDB;
constexpr std::uint8_t kPadding = 0x77;  // beside the picture in its surface

using FramePtr = std::shared_ptr<AVFrame>;

struct Picture {
  FramePtr frame;  // null if nothing was decoded
  unsigned serial = 0;
  int status = cuvidDecodeStatus_Invalid;
  bool asked = false;  // the first query of its status returns "in progress"
};

struct Output {
  CUdeviceptr memory = 0;
  std::uint64_t use = 0;  // counts maps and unmaps: odd while mapped
};

struct Layout {
  int bytes_per_sample = 1;
  bool full_chroma = false;
  std::size_t pitch = 0;
  std::size_t rows = 0;
  std::size_t bytes() const { return full_chroma ? pitch * rows * 3 : pitch * rows * 3 / 2; }
};

Layout LayoutOf(const CUVIDDECODECREATEINFO& info) {
  Layout layout;
  layout.full_chroma = info.OutputFormat >= cudaVideoSurfaceFormat_YUV444;
  layout.bytes_per_sample = info.OutputFormat == cudaVideoSurfaceFormat_P016 ||
                                    info.OutputFormat == cudaVideoSurfaceFormat_YUV444_16Bit
                                ? 2
                                : 1;
  layout.pitch = (info.ulTargetWidth * static_cast<unsigned>(layout.bytes_per_sample) + 511) / 512 * 512;
  layout.rows = info.ulTargetHeight;
  return layout;
}

// Copies one plane of a frame into a surface, with `step` samples from one to the next. Samples of more than
// 8 bits are shifted to the upper bits.
void WritePlane(const AVFrame& frame, int component, std::uint8_t* to, const Layout& layout, int step,
                int offset, int columns, int rows) {
  const AVPixFmtDescriptor* pixels = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  const auto& from = pixels->comp[component];
  const bool chroma = component > 0;
  const int width = chroma ? AV_CEIL_RSHIFT(frame.width, pixels->log2_chroma_w) : frame.width;
  const int height = chroma ? AV_CEIL_RSHIFT(frame.height, pixels->log2_chroma_h) : frame.height;
  for (int y = 0; y < std::min(rows, height); ++y) {
    const std::uint8_t* line = frame.data[from.plane] + std::ptrdiff_t{frame.linesize[from.plane]} * y;
    std::uint8_t* out = to + layout.pitch * static_cast<unsigned>(y);
    for (int x = 0; x < std::min(columns, width); ++x) {
      if (layout.bytes_per_sample == 1) {
        out[x * step + offset] = line[x];
      } else {
        std::uint16_t sample = 0;
        std::memcpy(&sample, line + 2 * x, 2);
        sample = static_cast<std::uint16_t>(sample << (16 - from.depth));
        std::memcpy(out + 2 * (x * step + offset), &sample, 2);
      }
    }
  }
}

void WriteSurface(const AVFrame& frame, const CUVIDDECODECREATEINFO& info, std::uint8_t* to) {
  const Layout layout = LayoutOf(info);
  std::memset(to, kPadding, layout.bytes());
  const int width = static_cast<int>(info.ulTargetWidth);
  const int height = static_cast<int>(info.ulTargetHeight);
  WritePlane(frame, 0, to, layout, 1, 0, width, height);
  std::uint8_t* chroma = to + layout.pitch * layout.rows;
  if (layout.full_chroma) {
    WritePlane(frame, 1, chroma, layout, 1, 0, width, height);
    WritePlane(frame, 2, chroma + layout.pitch * layout.rows, layout, 1, 0, width, height);
  } else {
    WritePlane(frame, 1, chroma, layout, 2, 0, width / 2, height / 2);
    WritePlane(frame, 2, chroma, layout, 2, 1, width / 2, height / 2);
  }
}

CUresult CheckInfo(const CUVIDDECODECREATEINFO& info) {
  const CUVIDDECODECAPS caps =
      CapsOf(info.CodecType, info.ChromaFormat, static_cast<unsigned>(info.bitDepthMinus8) + 8);
  if (!caps.bIsSupported || (caps.nOutputFormatMask >> info.OutputFormat & 1) == 0) return Error(801);
  if (info.ulWidth < caps.nMinWidth || info.ulHeight < caps.nMinHeight || info.ulMaxWidth > caps.nMaxWidth ||
      info.ulMaxHeight > caps.nMaxHeight)
    return Error(801);
  const auto bad = [](const auto& rect, unsigned long width, unsigned long height) {
    return rect.left < 0 || rect.top < 0 || rect.right <= rect.left || rect.bottom <= rect.top ||
           static_cast<unsigned long>(rect.right) > width || static_cast<unsigned long>(rect.bottom) > height;
  };
  if (info.ulWidth > info.ulMaxWidth || info.ulHeight > info.ulMaxHeight || info.ulNumDecodeSurfaces < 1 ||
      info.ulNumDecodeSurfaces > 32 || info.ulNumOutputSurfaces < 1 || info.ulTargetWidth % 2 != 0 ||
      info.ulTargetHeight % 2 != 0 || bad(info.display_area, info.ulWidth, info.ulHeight) ||
      bad(info.target_rect, info.ulTargetWidth, info.ulTargetHeight))
    return Error(1);
  if (info.DeinterlaceMode != cudaVideoDeinterlaceMode_Weave) Misuse("a decoder deinterlaces");
  // The fake does not scale.
  if (info.ulTargetWidth != info.ulWidth || info.ulTargetHeight != info.ulHeight) return Error(801);
  return CUDA_SUCCESS;
}

class Decoder {
 public:
  Decoder(const CUVIDDECODECREATEINFO& info, CUcontext context) : info_(info), context_(context) {
    ++TheCounters().decoders;
    ++TheCounters().created;
  }
  ~Decoder() {
    TheCounters().bytes.Add(-bytes_);
    for (const Output& output : outputs_) {
      if (output.use % 2 != 0) {
        Misuse("a decoder is destroyed while a surface of it is mapped");
        --TheCounters().mapped;
      }
      if (output.memory != 0) cuMemFree_v2(output.memory);
    }
    if (surfaces_ != 0) cuMemFree_v2(surfaces_);
    avcodec_free_context(&codec_);
    --TheCounters().decoders;
  }

  CUcontext context() const { return context_; }

  CUresult Allocate() {
    // Stands for the surfaces that pictures are decoded into, which the fake does not use.
    constexpr std::size_t kToken = 4096;
    if (const CUresult error = cuMemAlloc_v2(&surfaces_, kToken * info_.ulNumDecodeSurfaces);
        error != CUDA_SUCCESS)
      return error;
    return AllocateOutputs();
  }

  CUresult Reconfigure(const CUVIDRECONFIGUREDECODERINFO& info) {
    CUVIDDECODECREATEINFO next = info_;
    next.ulWidth = info.ulWidth;
    next.ulHeight = info.ulHeight;
    next.ulTargetWidth = info.ulTargetWidth;
    next.ulTargetHeight = info.ulTargetHeight;
    next.ulNumDecodeSurfaces = info.ulNumDecodeSurfaces;
    next.display_area = {info.display_area.left, info.display_area.top, info.display_area.right,
                         info.display_area.bottom};
    next.target_rect = {info.target_rect.left, info.target_rect.top, info.target_rect.right,
                        info.target_rect.bottom};
    if (const CUresult refused = CheckInfo(next); refused != CUDA_SUCCESS) return refused;
    for (Output& output : outputs_) {
      if (output.use % 2 != 0) {
        Misuse("a decoder is reconfigured while a surface of it is mapped");
        return Error(1);
      }
      if (output.memory != 0) cuMemFree_v2(output.memory);
      output.memory = 0;
    }
    info_ = next;
    ++TheCounters().reconfigured;
    return AllocateOutputs();
  }

  CUresult Decode(const CUVIDPICPARAMS& picture) {
    const auto& reserved = picture.Reserved;
    if (picture.CurrPicIdx < 0 || picture.CurrPicIdx >= static_cast<int>(info_.ulNumDecodeSurfaces))
      return Error(1);
    if (static_cast<unsigned>(picture.PicWidthInMbs) != (info_.ulWidth + 15) / 16 ||
        static_cast<unsigned>(picture.FrameHeightInMbs) != (info_.ulHeight + 15) / 16) {
      Misuse("a picture is decoded by a decoder of another size");
      return Error(1);
    }
    if (reserved[kStream] != stream_) Begin(reserved[kStream]);
    if (!codec_) return Error(801);
    if (!picture.second_field) {
      if (reserved[kReferencesBefore] != references_) Misuse("a picture is decoded whose reference was not");
      if (picture.ref_pic_flag) ++references_;
      pictures_[picture.CurrPicIdx] = {};
      ++TheCounters().decoded;
    }
    Picture& current = pictures_[picture.CurrPicIdx];
    current.serial = reserved[kSerial];
    filling_ = &current;
    internal_ = nullptr;
    AVPacket* packet = av_packet_alloc();
    av_new_packet(packet, static_cast<int>(picture.nBitstreamDataLen));
    std::memcpy(packet->data, picture.pBitstreamData, picture.nBitstreamDataLen);
    int error = avcodec_send_packet(codec_, packet);
    av_packet_free(&packet);
    AVFrame* frame = av_frame_alloc();
    for (int received = 0; received >= 0; av_frame_unref(frame)) {
      received = avcodec_receive_frame(codec_, frame);
      if (received < 0 && received != AVERROR(EAGAIN)) error = received;
    }
    av_frame_free(&frame);
    filling_ = nullptr;
    const bool concealed = internal_ && internal_->decode_error_flags != 0;
    const int status = error < 0 || !current.frame ? cuvidDecodeStatus_Error
                       : concealed                 ? cuvidDecodeStatus_Error_Concealed
                                                   : cuvidDecodeStatus_Success;
    current.status = std::max(current.status, status);
    if (const auto fault = Fault("status")) current.status = *fault;
    return CUDA_SUCCESS;
  }

  CUresult Status(int index, CUVIDGETDECODESTATUS* status) {
    if (info_.CodecType != cudaVideoCodec_H264 && info_.CodecType != cudaVideoCodec_HEVC) return Error(801);
    const auto found = pictures_.find(index);
    if (found == pictures_.end()) return Error(1);
    Picture& picture = found->second;
    const bool in_progress = !std::exchange(picture.asked, true);
    status->decodeStatus =
        in_progress ? cuvidDecodeStatus_InProgress : static_cast<cuvidDecodeStatus>(picture.status);
    return CUDA_SUCCESS;
  }

  CUresult Map(int index, CUdeviceptr* address, unsigned* pitch, const CUVIDPROCPARAMS& processing) {
    const auto found = pictures_.find(index);
    if (found == pictures_.end() || !found->second.frame) {
      Misuse("a picture is mapped that was not decoded");
      return Error(1);
    }
    const auto free = std::find_if(outputs_.begin(), outputs_.end(),
                                   [](const Output& output) { return output.use % 2 == 0; });
    if (free == outputs_.end()) {
      Misuse("more surfaces are mapped than the decoder was made for");
      return Error(1);
    }
    found->second.asked = true;  // mapping waits until the picture is decoded
    const std::uint64_t use = ++free->use;
    Output* output = &*free;
    // Post-processing runs on the caller's stream.
    const CUresult queued =
        Enqueue(processing.output_stream, "cuvidMapVideoFrame64", {output->memory},
                [frame = found->second.frame, info = info_, output, use] {
                  if (output->use != use) return Misuse("a surface is written that was unmapped");
                  WriteSurface(*frame, info, reinterpret_cast<std::uint8_t*>(output->memory));
                });
    if (queued != CUDA_SUCCESS) {
      --free->use;
      return queued;
    }
    *address = output->memory;
    *pitch = static_cast<unsigned>(LayoutOf(info_).pitch);
    ++TheCounters().mapped;
    ++TheCounters().maps;
    return CUDA_SUCCESS;
  }

  CUresult Unmap(CUdeviceptr address) {
    for (Output& output : outputs_) {
      if (output.memory != address || output.use % 2 == 0) continue;
      ++output.use;
      // Overwritten at once, so that a copy which has not run yet copies garbage.
      std::memset(reinterpret_cast<void*>(output.memory), kPoison, LayoutOf(info_).bytes());
      --TheCounters().mapped;
      return CUDA_SUCCESS;
    }
    Misuse("a surface is unmapped that is not mapped");
    return Error(1);
  }

 private:
  CUresult AllocateOutputs() {
    // A decoder has room for the largest pictures that it can be reconfigured to, and gives back none.
    const auto pixels = static_cast<std::int64_t>(info_.ulMaxWidth * info_.ulMaxHeight);
    const std::int64_t before = bytes_;
    bytes_ = std::max(bytes_, pixels * 3 / 2 * static_cast<std::int64_t>(info_.ulNumDecodeSurfaces));
    TheCounters().bytes.Add(bytes_ - before);
    outputs_.resize(info_.ulNumOutputSurfaces);
    for (Output& output : outputs_) {
      const CUresult error = cuMemAlloc_v2(&output.memory, LayoutOf(info_).bytes());
      if (error != CUDA_SUCCESS) return error;
    }
    return CUDA_SUCCESS;
  }

  void Begin(unsigned stream) {
    stream_ = stream;
    references_ = 0;
    pictures_.clear();
    avcodec_free_context(&codec_);
    codec_ = OpenCodec(info_.CodecType);
    if (!codec_) return;
    codec_->opaque = this;
    codec_->get_buffer2 = [](AVCodecContext* self, AVFrame* frame, int flags) {
      auto& decoder = *static_cast<Decoder*>(self->opaque);
      const int error = avcodec_default_get_buffer2(self, frame, flags);
      if (error < 0 || !decoder.filling_) return error;
      // libavcodec allocates stand-ins for missing pictures before the picture itself, for HEVC after it.
      if (decoder.info_.CodecType == cudaVideoCodec_HEVC && decoder.internal_) return 0;
      decoder.filling_->frame = FramePtr(av_frame_clone(frame), [](AVFrame* last) { av_frame_free(&last); });
      decoder.internal_ = frame;
      return 0;
    };
  }

  CUVIDDECODECREATEINFO info_;
  const CUcontext context_;
  CUdeviceptr surfaces_ = 0;
  std::int64_t bytes_ = 0;
  std::vector<Output> outputs_;
  AVCodecContext* codec_ = nullptr;
  unsigned stream_ = 0;
  unsigned references_ = 0;
  std::map<int, Picture> pictures_;  // by surface
  Picture* filling_ = nullptr;
  const AVFrame* internal_ = nullptr;  // owned by libavcodec
};

std::mutex mutex;
std::set<Decoder*> decoders;

// Calls `body` with the decoder of a handle. Concurrent use of one decoder is a race, which ThreadSanitizer
// reports.
template <typename Body>
CUresult WithDecoder(const char* symbol, CUvideodecoder handle, Body body) {
  CUcontext current = nullptr;
  if (const CUresult refused = Enter(symbol, &current); refused != CUDA_SUCCESS) return refused;
  auto* decoder = static_cast<Decoder*>(handle);
  {
    const std::lock_guard lock(mutex);
    if (!decoders.contains(decoder)) {
      Misuse(std::string(symbol) + " on a decoder that is not there");
      return Error(400);
    }
  }
  if (decoder->context() != current) {
    Misuse(std::string(symbol) + " in another context than the decoder's");
    return Error(201);
  }
  return body(*decoder);
}

}  // namespace

FAKE_NVCUVID_API cuvidCreateDecoder(CUvideodecoder* created, CUVIDDECODECREATEINFO* info) {
  CUcontext current = nullptr;
  if (const CUresult refused = Enter("cuvidCreateDecoder", &current); refused != CUDA_SUCCESS) return refused;
  if (const CUresult refused = CheckInfo(*info); refused != CUDA_SUCCESS) return refused;
  auto decoder = std::make_unique<Decoder>(*info, current);
  if (const CUresult failed = decoder->Allocate(); failed != CUDA_SUCCESS) return failed;
  const std::lock_guard lock(mutex);
  decoders.insert(decoder.get());
  *created = decoder.release();
  return CUDA_SUCCESS;
}

FAKE_NVCUVID_API cuvidDestroyDecoder(CUvideodecoder handle) {
  CUresult injected = CUDA_SUCCESS;
  const CUresult result = WithDecoder("cuvidDestroyDecoder", handle, [](Decoder&) { return CUDA_SUCCESS; });
  if (result != CUDA_SUCCESS) injected = result;  // a call that reports an error still destroys the decoder
  const std::lock_guard lock(mutex);
  if (decoders.erase(static_cast<Decoder*>(handle)) > 0) delete static_cast<Decoder*>(handle);
  return injected;
}

FAKE_NVCUVID_API cuvidDecodePicture(CUvideodecoder handle, CUVIDPICPARAMS* picture) {
  return WithDecoder("cuvidDecodePicture", handle,
                     [&](Decoder& decoder) { return decoder.Decode(*picture); });
}

FAKE_NVCUVID_API cuvidGetDecodeStatus(CUvideodecoder handle, int index, CUVIDGETDECODESTATUS* status) {
  return WithDecoder("cuvidGetDecodeStatus", handle,
                     [&](Decoder& decoder) { return decoder.Status(index, status); });
}

FAKE_NVCUVID_API cuvidReconfigureDecoder(CUvideodecoder handle, CUVIDRECONFIGUREDECODERINFO* info) {
  return WithDecoder("cuvidReconfigureDecoder", handle,
                     [&](Decoder& decoder) { return decoder.Reconfigure(*info); });
}

FAKE_NVCUVID_API cuvidMapVideoFrame64(CUvideodecoder handle, int index, unsigned long long* address,
                                      unsigned* pitch, CUVIDPROCPARAMS* processing) {
  return WithDecoder("cuvidMapVideoFrame64", handle,
                     [&](Decoder& decoder) { return decoder.Map(index, address, pitch, *processing); });
}

FAKE_NVCUVID_API cuvidUnmapVideoFrame64(CUvideodecoder handle, unsigned long long address) {
  // A call that reports an error still unmaps the surface.
  if (const auto fault = Fault("cuvidUnmapVideoFrame64")) {
    static_cast<Decoder*>(handle)->Unmap(address);
    return Error(*fault);
  }
  return WithDecoder("unmap", handle, [&](Decoder& decoder) { return decoder.Unmap(address); });
}

}  // namespace fakes
