#include "media/demux/demuxer.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "ffmpeg/buffer_meter.h"
#include "media/demux/container_check.h"
#include "media/demux/encryption.h"
#include "media/demux/foreign_format.h"
#include "media/demux/packet_head.h"
#include "media/demux/picture_format.h"
#include "media/demux/probe_check.h"
#include "media/demux/probe_slot.h"

namespace cosmos {
namespace {

constexpr std::int64_t kAnalyzeMicroseconds = 5'000'000;
constexpr const char* kNotAContainer =
    "not a supported video container (mp4, mov, matroska, webm, avi, mpegts, mpeg, flv, asf, ogg, "
    "ivf, dv, gif, apng, y4m, raw h264, hevc or av1)";

Status Append(AVPacket& packet, const AVPacket& more) {
  const int size = packet.size;
  if (av_grow_packet(&packet, more.size) < 0) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  std::copy_n(more.data, more.size, packet.data + size);
  packet.duration += more.duration;
  return {};
}

Status EncryptedStatus(const std::string& how) {
  return Status(StatusCode::kEncrypted,
                "the video is encrypted (" + how + "), and decryption is not supported")
      .With("scheme", how);
}

int InterruptCallback(void* guard) { return static_cast<const JobGuard*>(guard)->stopped() ? 1 : 0; }

}  // namespace

Result<std::unique_ptr<Demuxer>> Demuxer::Open(MediaSource media, const DecodeLimits& limits,
                                               const JobGuard& guard) {
  ff::SilenceLog();
  std::unique_ptr<Demuxer> demuxer(new Demuxer(std::move(media), limits, guard));
  COSMOS_RETURN_IF_ERROR(demuxer->OpenContainer());
  COSMOS_RETURN_IF_ERROR(demuxer->ChooseStream());
  COSMOS_RETURN_IF_ERROR(demuxer->FindFirstTime());
  return demuxer;
}

Status Demuxer::OpenContainer() {
  COSMOS_ASSIGN_OR_RETURN(auto source, Source::Open(media_, guard_));
  format_.reset();
  source_ = std::move(source);
  if (HasOnlyEncryptedVideo(*source_)) {
    return EncryptedStatus("as its sample tables declare").With("container", "mp4");
  }

  // Probes the format as avformat_open_input would, so that the tables are checked before it reads them.
  const AVInputFormat* kind = nullptr;
  if (const int error = av_probe_input_buffer2(source_->io(), &kind, nullptr, nullptr, 0, 0); error < 0) {
    return UnknownContainer(error);
  }
  if (!container_is_checked_) COSMOS_RETURN_IF_ERROR(CheckContainer(kind->name, *source_, limits_));
  container_is_checked_ = true;

  AVFormatContext* format = avformat_alloc_context();
  if (!format) return {StatusCode::kOutOfMemory, "no memory for a demuxer"};
  format->pb = source_->io();
  format->flags |= AVFMT_FLAG_CUSTOM_IO;
  format->interrupt_callback = {InterruptCallback, const_cast<JobGuard*>(&guard_)};
  format->max_streams = limits_.max_streams;
  format->max_analyze_duration = kAnalyzeMicroseconds;
  source_->LimitReads(MaxReadBytes());
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", ff::AllowedDemuxers(), 0);
  av_dict_set(&options, "codec_whitelist", ff::ProbedDecoders(), 0);
  av_dict_set(&options, "protocol_whitelist", "none", 0);
  const int error = avformat_open_input(&format, nullptr, kind, &options);
  av_dict_free(&options);
  if (error < 0) return UnknownContainer(error);
  format_.reset(format);
  has_sample_tables_ = av_match_name("mp4", format->iformat->name) != 0;
  return {};
}

Status Demuxer::ChooseStream() {
  const std::span streams(format_->streams, format_->nb_streams);
  std::ptrdiff_t videos = 0;
  for (AVStream* stream : streams) {
    // Cover art is not the video, so it is hidden from FFmpeg's ranking.
    if (stream->disposition & AV_DISPOSITION_ATTACHED_PIC)
      stream->codecpar->codec_type = AVMEDIA_TYPE_ATTACHMENT;
    if (stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) {
      ++videos;
      stream_ = stream;
    }
  }
  if (videos != 1 || !ParametersComplete()) {
    if (!probing_is_checked_ && NeedsProbeCheck(*format_)) {
      COSMOS_RETURN_IF_ERROR(CheckProbedPackets(*format_, limits_, guard_));
      probing_is_checked_ = true;
      return Rewind();
    }
    COSMOS_RETURN_IF_ERROR(FindStreamInfo());
    const int best = av_find_best_stream(format_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (best < 0) {
      return Status(StatusCode::kMedia, "the " + container() + " holds no video stream")
          .With("container", container());
    }
    stream_ = format_->streams[best];
    // A decoder that rejected its picture as too large does not report the size; the parser does.
    const AVCodecParserContext* parser = av_stream_get_parser(stream_);
    AVCodecParameters& found = *stream_->codecpar;
    if (parser && found.width == 0) {
      found.width = parser->width;
      found.height = parser->height;
    }
  } else {
    // The container's times and flags are complete, so parsing every packet would add nothing.
    format_->flags |= AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
  }
  if (const auto scheme = EncryptionOf(*format_, *stream_)) return EncryptionError(*scheme);
  for (AVStream* stream : std::span(format_->streams, format_->nb_streams)) {
    stream->discard = stream == stream_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
  lookahead_.reset();
  held_back_.reset();
  parser_.reset();
  // FFmpeg's parser emits fields, so files remuxed from its output store them separately. Only the packets of
  // an mp4 are otherwise not read during indexing; elsewhere the check costs next to nothing.
  const bool fields =
      has_sample_tables_ ? MayHaveFields(parameters()) : parameters().codec_id == AV_CODEC_ID_H264;
  if (fields) parser_.emplace(parameters());
  theora_times_.reset();
  if (parameters().codec_id == AV_CODEC_ID_THEORA && container() == "ogg")
    theora_times_.emplace(parameters());
  b_frame_unpacker_.reset();
  if (parameters().codec_id == AV_CODEC_ID_MPEG4) {
    COSMOS_ASSIGN_OR_RETURN(b_frame_unpacker_, BitstreamFilter::Open(parameters()));
  }
  return {};
}

// FFmpeg cannot represent negative times of Matroska: the first packets have none then. While it probes, it
// derives them from the times that follow.
Status Demuxer::FindFirstTime() {
  if (has_sample_tables_ || (format_->flags & AVFMT_FLAG_NOFILLIN) == 0) return {};
  if (!lookahead_) lookahead_.reset(av_packet_alloc());
  if (!lookahead_) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  COSMOS_ASSIGN_OR_RETURN(const bool any, ReadPacket(*lookahead_));
  if (!any || lookahead_->pts != AV_NOPTS_VALUE || lookahead_->dts != AV_NOPTS_VALUE) return {};
  lacks_first_times_ = true;
  return Rewind();
}

// Whether the container declares enough to decode without probing.
bool Demuxer::ParametersComplete() const {
  if (lacks_first_times_) return false;
  const std::string_view name = format_->iformat->name;
  const AVCodecParameters& codec = parameters();
  if (!has_sample_tables_ && name != "matroska,webm") return false;
  if (codec.width <= 0 || codec.height <= 0) return false;
  switch (codec.codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC: return codec.extradata_size > 0;
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_VP8:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_MJPEG: return true;
    default: return false;
  }
}

Status Demuxer::FindStreamInfo() {
  COSMOS_ASSIGN_OR_RETURN(const auto slot, ProbeSlot::Take(guard_));
  // Probing decodes a few pictures with decoders that are not metered.
  const std::int64_t max_pixels =
      BufferMeter::PaddedPixels(std::min(limits_.max_pixels, MaxProbedPixels(*format_, limits_)));
  std::vector<AVDictionary*> options(format_->nb_streams);
  for (AVDictionary*& option : options) av_dict_set_int(&option, "max_pixels", max_pixels, 0);
  source_->LimitReads(MaxReadBytes());
  const int error = avformat_find_stream_info(format_.get(), options.empty() ? nullptr : options.data());
  for (AVDictionary*& option : options) av_dict_free(&option);
  if (error < 0) return ReadError(error, "the streams of the " + container() + " cannot be read");
  return guard_.Check();
}

Status Demuxer::UnknownContainer(int error) {
  std::array<std::uint8_t, kForeignHead> head{};
  const std::size_t size = source_->Peek(0, head);
  const std::string foreign = DescribeForeignFormat(std::span(head).first(size));
  return ReadError(error, foreign.empty() ? kNotAContainer : "this is " + foreign);
}

Status Demuxer::ReadError(int error, const std::string& what) const {
  COSMOS_RETURN_IF_ERROR(guard_.Check());
  if (!source_->error().ok()) return source_->error();
  if (error == AVERROR(ENOMEM)) return MemoryError();
  Status status = Status(StatusCode::kMedia, what).With("reason", ff::ErrorName(error));
  if (!format_) return status;
  return std::move(status).With("container", container());
}

// Tables were checked before they were read, so ENOMEM rarely means a lack of memory: FFmpeg also returns it
// for one stream too many and for a packet beyond its maximum size.
Status Demuxer::MemoryError() const {
  if (!format_ || static_cast<int>(format_->nb_streams) >= limits_.max_streams) {
    return TableBudget::TooManyStreams(limits_);
  }
  return Status(StatusCode::kLimit, "a packet needs more memory than the limit maxBytes allows")
      .With("limit", static_cast<double>(limits_.max_bytes));
}

Result<bool> Demuxer::Read(AVPacket& packet) {
  if (lookahead_ && lookahead_->size > 0) {
    av_packet_unref(&packet);
    av_packet_move_ref(&packet, lookahead_.get());
  } else {
    auto read = ReadPacket(packet);
    if (!read.ok() || !read.value()) return read;
  }
  if (!parser_) return true;
  const PacketHead head = ReadHead(*parser_, packet);
  if (head.structure == Structure::kFrame) return true;
  if (!lookahead_) lookahead_.reset(av_packet_alloc());
  if (!lookahead_) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
  COSMOS_ASSIGN_OR_RETURN(const bool has_next, ReadPacket(*lookahead_));
  // At the end, this packet is the last one, and the next call finds the end again.
  if (!has_next || !ArePair(head, ReadHead(*parser_, *lookahead_))) return true;
  COSMOS_RETURN_IF_ERROR(Append(packet, *lookahead_));
  av_packet_unref(lookahead_.get());
  COSMOS_RETURN_IF_ERROR(CheckSize(packet));
  return true;
}

Status Demuxer::EncryptionError(const std::string& scheme) const {
  return EncryptedStatus(scheme).With("container", container()).With("codec", codec());
}

Status Demuxer::CheckSize(const AVPacket& packet) const {
  if (packet.size <= limits_.max_bytes) return {};
  return Status(StatusCode::kLimit, "a packet of " + std::to_string(packet.size) +
                                        " bytes is larger than the limit maxBytes of " +
                                        std::to_string(limits_.max_bytes))
      .With("limit", static_cast<double>(limits_.max_bytes));
}

// One read may cover more than one packet: those of other streams are read and dropped.
std::int64_t Demuxer::MaxReadBytes() const {
  constexpr std::int64_t kMin = 64 << 20;
  return std::max(std::min(limits_.max_bytes, std::int64_t{1} << 60) * 4, kMin);
}

Result<bool> Demuxer::ReadPacket(AVPacket& packet) {
  for (;;) {
    COSMOS_RETURN_IF_ERROR(guard_.Check());
    av_packet_unref(&packet);
    source_->LimitReads(MaxReadBytes());
    const int error = av_read_frame(format_.get(), &packet);
    if (error == AVERROR(EAGAIN)) continue;
    if (error == AVERROR(ENOMEM) && source_->error().ok()) return MemoryError();
    if (error < 0) {
      COSMOS_RETURN_IF_ERROR(guard_.Check());
      if (!source_->error().ok()) return source_->error();
      if (error != AVERROR_EOF) damage_ = ff::ErrorName(error);
      if (IsTruncated()) damage_ = ff::ErrorName(AVERROR_EOF);
      if (!held_back_ || held_back_->size == 0) return false;
      av_packet_move_ref(&packet, held_back_.get());
      if ((packet.flags & AV_PKT_FLAG_CORRUPT) == 0) return Prepare(packet);
      // The file ends within this packet.
      damage_ = ff::ErrorName(AVERROR_EOF);
      return false;
    }
    COSMOS_RETURN_IF_ERROR(source_->error());  // FFmpeg may succeed despite a failed read
    COSMOS_RETURN_IF_ERROR(CheckSize(packet));
    if (packet.stream_index != stream_->index || packet.size == 0) continue;
    const bool may_be_cut_off = (packet.flags & AV_PKT_FLAG_CORRUPT) != 0 && avio_feof(format_->pb) != 0;
    if (may_be_cut_off || (held_back_ && held_back_->size > 0)) {
      COSMOS_ASSIGN_OR_RETURN(const bool any, HoldBack(packet));
      if (!any) continue;
    }
    auto prepared = Prepare(packet);
    if (!prepared.ok() || prepared.value()) return prepared;
  }
}

// A file may end within several packets of FFmpeg's: all pictures in the last unit of an MPEG-PS. Only the
// last one is incomplete, so each is held back until the next is read. Returns whether there was one before.
Result<bool> Demuxer::HoldBack(AVPacket& packet) {
  if (!held_back_) held_back_.reset(av_packet_alloc());
  const ff::Packet next(av_packet_alloc());
  if (!held_back_ || !next) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
  av_packet_move_ref(next.get(), &packet);
  av_packet_move_ref(&packet, held_back_.get());
  av_packet_move_ref(held_back_.get(), next.get());
  return packet.size > 0;
}

// Returns false when nothing is left of the packet.
Result<bool> Demuxer::Prepare(AVPacket& packet) {
  if (const auto scheme = EncryptionOf(packet)) return EncryptionError(*scheme);
  if (theora_times_) theora_times_->Correct(packet);
  return b_frame_unpacker_ ? Unpack(packet) : true;
}

// Returns false when nothing is left of the packet. A packet that the filter cannot read stays as it is,
// since a decoder may cope with it.
Result<bool> Demuxer::Unpack(AVPacket& packet) {
  const ff::Packet whole(av_packet_clone(&packet));
  if (!whole) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
  bool any = false;
  const bool read = b_frame_unpacker_->Apply(packet, [&](AVPacket& picture) {
    av_packet_unref(&packet);
    av_packet_move_ref(&packet, &picture);
    any = true;
  });
  if (!read && !any) {
    av_packet_unref(&packet);
    av_packet_move_ref(&packet, whole.get());
  }
  return packet.size > 0;
}

// Whether the tables list samples beyond the end of the file, as after an interrupted upload.
bool Demuxer::IsTruncated() const {
  if (!has_sample_tables_) return false;
  const int count = avformat_index_get_entries_count(stream_);
  if (count == 0) return false;
  const AVIndexEntry* last = avformat_index_get_entry(stream_, count - 1);
  return last->pos + last->size > source_->size();
}

bool Demuxer::Seek(std::int64_t timestamp) {
  lookahead_.reset();
  held_back_.reset();
  if (b_frame_unpacker_) b_frame_unpacker_->Reset();
  return av_seek_frame(format_.get(), stream_->index, timestamp, AVSEEK_FLAG_BACKWARD) >= 0;
}

bool Demuxer::SeekToByte(std::int64_t position) {
  lookahead_.reset();
  held_back_.reset();
  return av_seek_frame(format_.get(), stream_->index, position, AVSEEK_FLAG_BYTE) >= 0;
}

Status Demuxer::Rewind() {
  earlier_bytes_ += source_->bytes_read();
  COSMOS_RETURN_IF_ERROR(OpenContainer());
  return ChooseStream();
}

std::string Demuxer::container() const {
  const std::string_view names = format_->iformat->name;
  if (has_sample_tables_) return "mp4";
  return std::string(names.substr(0, names.find(',')));
}

bool Demuxer::may_be_concatenated() const {
  return av_match_name(format_->iformat->name, "mpegts,mpeg,flv") != 0;
}

bool Demuxer::is_raw() const { return av_match_name(format_->iformat->name, "h264,hevc") != 0; }

double Demuxer::frame_seconds() const {
  AVRational coded = {0, 1};
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 15, 0)
  // The rate of a raw stream is in its parameter sets; its demuxer in FFmpeg 7 reports 25 for all of them.
  if (av_match_name(format_->iformat->name, "h264,hevc,obu")) coded = parameters().framerate;
#endif
  for (const AVRational rate : {coded, stream_->avg_frame_rate, stream_->r_frame_rate}) {
    if (rate.num > 0 && rate.den > 0) return av_q2d(av_inv_q(rate));
  }
  return 1.0 / 25;
}

double Demuxer::duration() const {
  if (stream_->duration > 0) return static_cast<double>(stream_->duration) * av_q2d(stream_->time_base);
  return format_->duration > 0 ? static_cast<double>(format_->duration) / AV_TIME_BASE : 0;
}

}  // namespace cosmos
