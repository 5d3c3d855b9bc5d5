#include "media/decode/picture_stream.h"

#include <algorithm>
#include <string>
#include <utility>

namespace cosmos {

PictureStream::PictureStream(Demuxer& demuxer, Decoder& decoder, MakeCarefulDecoder make_careful,
                             const FrameIndex& index, const ParameterSets& parameter_sets,
                             const DecodePlan& plan, int max_packets_without_frame)
    : decoder_(decoder),
      make_careful_(std::move(make_careful)),
      index_(index),
      plan_(plan),
      max_packets_without_frame_(max_packets_without_frame),
      cursor_(demuxer, index, parameter_sets),
      reader_(demuxer.parameters()),
      references_(demuxer.parameters()) {}

Result<std::optional<WantedPicture>> PictureStream::Next() {
  if (!packet_) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
  while (ready_.empty()) {
    Status status;
    if (decode_again_) {
      status = DecodeAgain();
    } else if (in_run_) {
      status = SendOne();
    } else if (run_ < plan_.runs.size()) {
      status = BeginRun();
    } else {
      return std::optional<WantedPicture>();
    }
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
  careful_ = false;
  went_back_ = false;
  first_ = run.first;
  return MoveToFirst();
}

// Nothing is known of what is decoded from here on.
Status PictureStream::MoveToFirst() {
  refused_ = decoder().refused();
  last_order_ = -1;
  damage_ = 0;
  damaged_places_.clear();
  keyframe_is_lost_ = false;
  silent_packets_ = 0;
  references_.Reset();
  return cursor_.MoveTo(first_);
}

Status PictureStream::SendOne() {
  const DecodeRun& run = plan_.runs[run_];
  COSMOS_ASSIGN_OR_RETURN(auto read, cursor_.Read(*packet_));
  if (!read || *read > run.last) return EndRun();

  const int place = *read;
  if (place == first_ && first_ > 0 && !CanBeginAt(*packet_)) return BeginEarlier();
  const bool shown = index_.packet(place).shown;
  ++packets_since_frame_;
  silent_packets_ += shown ? 1 : 0;
  counts_.decoded += shown ? 0 : 1;
  sent_place_ = place;
  if (references_.MissesPictures(*packet_) && !IsLeading(place)) NoteDamage(1, place);
  if (Status status = decoder().Send(*packet_, place, plan_.wants(place)); !status.ok()) return status;
  if (IsLeading(place)) refused_ = decoder().refused();
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
  if (decode_again_) return {};
  if (Status status = decoder().Drain(); !status.ok()) return status;
  if (Status status = ReceiveAll(); !status.ok()) return status;
  if (decoder().missing_is_damage() && IsMissing(index_.packet_count())) ++damage_;
  if (WantsCare() || WantsEarlierKeyframe(index_.packet_count())) decode_again_ = true;
  if (decode_again_) return {};
  decoder().Reset();
  counts_.damage += damage_;
  counts_.discarded += std::max<std::int64_t>(silent_packets_, 0);
  GiveUpBefore(index_.packet_count(), nullptr);
  in_run_ = false;
  ++run_;
  return {};
}

Status PictureStream::ReceiveAll() {
  for (;;) {
    COSMOS_ASSIGN_OR_RETURN(auto received, decoder().Receive());
    NoteDamage(decoder().refused() - refused_, sent_place_);
    if (decoder().refused() > refused_ && sent_place_ == first_) keyframe_is_lost_ = true;
    refused_ = decoder().refused();
    if (WantsCare()) decode_again_ = true;
    if (decode_again_ || !received) return {};
    packets_since_frame_ = 0;
    --silent_packets_;
    ++counts_.decoded;
    Deliver(*std::move(received));
  }
}

void PictureStream::Deliver(Picture picture) {
  const int place = picture.place;
  const int order = index_.order(place);
  if (IsLeading(place) || (keyframe_is_lost_ && LeansOnDamage(place))) return;
  if (picture.damaged) NoteDamage(1, place);
  // In presentation order, and none left out.
  if (decoder().missing_is_damage() && (order <= last_order_ || IsMissing(order))) ++damage_;
  last_order_ = order;
  if (WantsCare() || WantsEarlierKeyframe(order)) {
    decode_again_ = true;
    return;
  }
  if (!picture.frame) return;
  const Shown shown{place, std::shared_ptr<AVFrame>(picture.frame.release(), ff::Free()),
                    LeansOnDamage(place)};
  GiveUpBefore(order, &shown);
  if (!pending_.empty() && pending_.front() == order) {
    pending_.erase(pending_.begin());
    ready_.push_back({place, place, shown.frame, shown.damaged});
  }
  last_ = shown;
}

void PictureStream::NoteDamage(int count, int place) {
  if (count == 0) return;
  damage_ += count;
  damaged_places_.insert(std::ranges::upper_bound(damaged_places_, place), place);
}

// What is decoded between damage and the next keyframe may have been predicted from it, and no decoder says
// so.
bool PictureStream::LeansOnDamage(int place) const {
  const auto after = std::ranges::upper_bound(damaged_places_, place);
  return after != damaged_places_.begin() && index_.KeyframeFor(place) <= *(after - 1);
}

// The index may have taken the container's word for it.
bool PictureStream::CanBeginAt(const AVPacket& packet) {
  const AccessUnit unit = reader_.Read(packet);
  return unit.random_access || unit.intra;
}

// Shown before the keyframe that the run began at: it may lean on pictures that were not decoded, and nothing
// leans on it that is wanted. At the beginning of the stream the index says which of them are whole.
bool PictureStream::IsLeading(int place) const {
  if (first_ == 0 && index_.packet(place).shown) return false;
  return index_.order(place) < index_.order(first_) || (first_ == 0 && !index_.packet(0).keyframe);
}

// How a damaged picture is patched up depends on how threads take turns, or on a GPU. With one thread of the
// CPU it is always the same.
bool PictureStream::WantsCare() const { return damage_ > 0 && !careful_ && make_careful_; }

// A wanted picture before `order` has not come and will not.
bool PictureStream::IsMissing(int order) const { return !pending_.empty() && pending_.front() < order; }

// The keyframe that the run began at may be none: where encoders refresh a picture bit by bit, it takes a
// while to be whole.
bool PictureStream::WantsEarlierKeyframe(int order) const {
  return !went_back_ && first_ > 0 && IsMissing(order);
}

Status PictureStream::DecodeAgain() {
  decode_again_ = false;
  if (WantsCare()) {
    if (!careful_decoder_) {
      COSMOS_ASSIGN_OR_RETURN(careful_decoder_, make_careful_());
    }
    decoder_.Reset();
    careful_ = true;
  } else {
    went_back_ = true;
    first_ = index_.KeyframeFor(first_ - 1);
  }
  decoder().Reset();
  packets_since_frame_ = 0;
  return MoveToFirst();
}

Status PictureStream::BeginEarlier() {
  first_ = index_.KeyframeFor(first_ - 1);
  return MoveToFirst();
}

// Pictures come in presentation order: those that should have come before `order` will not. The nearer of the
// picture before and the picture after stands in.
void PictureStream::GiveUpBefore(int order, const Shown* after) {
  const auto end = std::ranges::lower_bound(pending_, order);
  for (auto missing = pending_.begin(); missing != end; ++missing) {
    const Shown* stand_in = after;
    if (last_ && (!after || *missing - index_.order(last_->place) <= index_.order(after->place) - *missing)) {
      stand_in = &*last_;
    }
    if (!stand_in) return;  // nothing has come yet: what comes first stands in
    ready_.push_back({index_.place_at(*missing), stand_in->place, stand_in->frame, stand_in->damaged});
  }
  pending_.erase(pending_.begin(), end);
}

}  // namespace cosmos
