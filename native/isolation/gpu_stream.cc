#include "isolation/gpu_stream.h"

#include <utility>

#include "isolation/sealed_memory.h"
#include "media/nvdec/device_frame.h"

namespace cosmos {

std::uint32_t GpuPictures::Add(std::shared_ptr<AVFrame> frame) {
  const std::lock_guard lock(mutex_);
  frames_[next_id_] = std::move(frame);
  return next_id_++;
}

std::shared_ptr<AVFrame> GpuPictures::Find(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = frames_.find(id);
  return found == frames_.end() ? nullptr : found->second;
}

void GpuPictures::Drop(std::uint32_t id) {
  const std::lock_guard lock(mutex_);
  frames_.erase(id);
}

std::uint32_t GpuPictures::NextId() {
  const std::lock_guard lock(mutex_);
  return next_id_++;
}

Status GpuPictures::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void GpuPictures::Fail(Status error) {
  const std::lock_guard lock(mutex_);
  if (error_.ok()) error_ = std::move(error);
}

void SettleGpuCall(Status status, GpuPictures& pictures, GpuAnswer& answer) {
  if (EndsClip(status.code())) pictures.Fail(status);
  if (!status.ok()) answer.status = std::move(status);
}

Status GpuStream::Note(GpuNote::Kind kind) {
  if (kind == GpuNote::Kind::kClose) {
    stream_.reset();
    return {};
  }
  if (!stream_) return GpuCallRefused("to reset what is not open");
  kind == GpuNote::Kind::kReset ? stream_->Reset() : stream_->Release();
  last_place_ = -1;
  without_picture_ = 0;
  return {};
}

Status GpuStream::Do(GpuCall& call, const Descriptor& memory, GpuAnswer& answer) {
  answer.status = pictures_.error();
  if (answer.status.ok()) Settle(guard_.Check(), answer);
  if (!answer.status.ok()) return {};
  switch (call.kind) {
    case GpuCall::Kind::kOpen: return Open(std::move(call.stream), answer);
    case GpuCall::Kind::kSend: return Send(call, memory, answer);
    case GpuCall::Kind::kDrain:
      if (!stream_) return GpuCallRefused("to drain what is not open");
      Settle(stream_->Drain(), answer);
      Receive(answer);
      return {};
    default: return GpuCallRefused("through the wrong channel");
  }
}

Status GpuStream::Open(CodedStream stream, GpuAnswer& answer) {
  if (stream_) return GpuCallRefused("for two streams at a time");
  // The decoder process has asked before. This one does not rely on that.
  if (!nvdec_.WhyNot(stream).empty()) return GpuCallRefused("for a stream that NVDEC does not decode");
  if (std::int64_t{stream.width} * stream.height > request_.limits.max_pixels)
    return GpuCallRefused("for pictures larger than maxPixels");
  auto opened = nvdec_.Open(std::move(stream), request_.limits, guard_);
  if (!opened.ok()) {
    Settle(opened.TakeStatus(), answer);
    return {};
  }
  stream_ = std::move(opened).value();
  last_place_ = -1;
  without_picture_ = 0;
  return {};
}

Status GpuStream::Send(GpuCall& call, const Descriptor& memory, GpuAnswer& answer) {
  if (!stream_) return GpuCallRefused("to decode for a stream that is not open");
  CodedPacket& packet = call.packet;
  // Parts of one packet have its place.
  if (packet.place < last_place_) return GpuCallRefused("to decode packets in disorder");
  // The decoder process ends such a clip earlier, by the same limit.
  if (++without_picture_ > request_.limits.max_packets_without_frame + 1)
    return GpuCallRefused("to decode packets without end");
  if (call.memory_bytes > request_.limits.max_bytes)
    return GpuCallRefused("to decode a packet larger than maxBytes");
  last_place_ = packet.place;
  MediaBytes mapped;
  if (call.memory_bytes > 0) {
    COSMOS_ASSIGN_OR_RETURN(mapped, MapSealed(memory, call.memory_bytes));
    packet.data = mapped.data;
  }
  Settle(stream_->Send(packet), answer);
  Receive(answer);
  return {};
}

// Takes all pictures that the stream has.
void GpuStream::Receive(GpuAnswer& answer) {
  answer.refused_at_once = stream_->refused();
  while (answer.status.ok()) {
    auto received = stream_->Receive();
    if (!received.ok()) return Settle(received.TakeStatus(), answer);
    answer.refused = stream_->refused();
    answer.gave_up = stream_->gave_up();
    answer.reason = stream_->reason();
    if (!received.value()) return;
    without_picture_ = 0;
    Picture& picture = *received.value();
    GpuPicture& told = answer.pictures.emplace_back();
    told.place = picture.place;
    told.damaged = picture.damaged;
    told.refused = answer.refused;
    if (!picture.frame) continue;
    told.width = picture.frame->width;
    told.height = picture.frame->height;
    told.layout = LayoutOf(*picture.frame);
    told.id = pictures_.Add(std::shared_ptr<AVFrame>(picture.frame.release(), ff::Free()));
  }
}

void GpuStream::Settle(Status status, GpuAnswer& answer) {
  SettleGpuCall(std::move(status), pictures_, answer);
}

}  // namespace cosmos
