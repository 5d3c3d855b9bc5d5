#include "media/picture_stream.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace cosmos {

PictureStream::PictureStream(Demuxer& demuxer, Decoder& decoder, const FrameIndex& index,
                             const DecodePlan& plan, int max_packets_without_frame)
    : decoder_(decoder),
      index_(index),
      plan_(plan),
      max_packets_without_frame_(max_packets_without_frame),
      cursor_(demuxer, index) {}

Result<std::optional<WantedPicture>> PictureStream::Next() {
  if (!packet_) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
  while (ready_.empty()) {
    if (run_ == plan_.runs.size()) {
      // What is still missing at the end of everything has the last picture to stand in for it.
      if (last_) GiveUpBefore(index_.packet_count(), nullptr);
      if (ready_.empty()) return std::optional<WantedPicture>();
      break;
    }
    Status status = in_run_ ? SendOne() : BeginRun();
    if (!status.ok()) return status;
  }
  WantedPicture picture = std::move(ready_.front());
  ready_.pop_front();
  return std::optional(std::move(picture));
}

Status PictureStream::BeginRun() {
  const DecodeRun& run = plan_.runs[run_];
  const auto begin = std::ranges::lower_bound(plan_.wanted, run.first);
  const auto end = std::ranges::upper_bound(plan_.wanted, run.last);
  for (auto place = begin; place != end; ++place) pending_.push_back(index_.order(*place));
  std::ranges::sort(pending_);
  in_run_ = true;
  silent_packets_ = 0;
  return cursor_.MoveTo(run.first);
}

Status PictureStream::SendOne() {
  const DecodeRun& run = plan_.runs[run_];
  auto read = cursor_.Read(*packet_);
  if (!read.ok()) return read.TakeStatus();
  if (!read.value() || *read.value() > run.last) return EndRun();

  const int place = *read.value();
  const bool shown = index_.packet(place).shown;
  ++counts_.sent;
  ++packets_since_frame_;
  silent_packets_ += shown ? 1 : 0;
  counts_.decoded += shown ? 0 : 1;
  auto sent = decoder_.Send(*packet_, place, plan_.wants(place));
  if (!sent.ok()) return sent.TakeStatus();
  if (!sent.value()) ++counts_.refused;
  if (Status status = ReceiveAll(); !status.ok()) return status;
  if (packets_since_frame_ > max_packets_without_frame_) {
    return Status(StatusCode::kLimit, std::to_string(packets_since_frame_) +
                                          " packets in a row gave no picture, more than the limit "
                                          "maxPacketsWithoutFrame of " +
                                          std::to_string(max_packets_without_frame_))
        .With("limit", static_cast<double>(max_packets_without_frame_));
  }
  return place == run.last ? EndRun() : Status();
}

Status PictureStream::EndRun() {
  if (Status status = decoder_.Drain(); !status.ok()) return status;
  if (Status status = ReceiveAll(); !status.ok()) return status;
  decoder_.Reset();
  counts_.discarded += std::max<std::int64_t>(silent_packets_, 0);
  if (last_) GiveUpBefore(index_.packet_count(), nullptr);
  in_run_ = false;
  ++run_;
  return {};
}

Status PictureStream::ReceiveAll() {
  for (;;) {
    auto received = decoder_.Receive();
    if (!received.ok()) return received.TakeStatus();
    if (!received.value()) return {};
    packets_since_frame_ = 0;
    --silent_packets_;
    ++counts_.decoded;
    Deliver(*std::move(received).value());
  }
}

void PictureStream::Deliver(Picture picture) {
  const int place = picture.place;
  const int order = index_.order(place);
  // After a seek, pictures shown before the keyframe may have been decoded from references that are not
  // there.
  if (order < index_.order(plan_.runs[run_].first)) return;
  const std::shared_ptr<AVFrame> frame(picture.frame.release(), ff::Free());
  const Shown shown{place, frame};
  GiveUpBefore(order, &shown);
  if (!pending_.empty() && pending_.front() == order) {
    pending_.erase(pending_.begin());
    if (frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT)) ++counts_.concealed;
    ready_.push_back({place, place, frame});
  }
  last_ = shown;
}

// Pictures come in presentation order: those that should have come before `order` will not. The nearer of the
// picture before and the picture after stands in.
void PictureStream::GiveUpBefore(int order, const Shown* after) {
  const auto end = std::ranges::lower_bound(pending_, order);
  for (auto missing = pending_.begin(); missing != end; ++missing) {
    const bool use_before =
        last_ && (!after || *missing - index_.order(last_->place) <= index_.order(after->place) - *missing);
    const Shown& stand_in = use_before ? *last_ : *after;
    ready_.push_back({index_.place_at(*missing), stand_in.place, stand_in.frame});
    ++counts_.missing;
  }
  pending_.erase(pending_.begin(), end);
}

}  // namespace cosmos
