#include "media/decode/picture_stream.h"

#include <algorithm>
#include <string>
#include <utility>

namespace cosmos {

Status NothingDecoded(const Demuxer& demuxer, double position, int refusal) {
  return Status(StatusCode::kMedia, "no picture of the " + demuxer.codec() + " video in the " +
                                        demuxer.container() + " could be decoded from " +
                                        std::to_string(position) + " s on")
      .With("container", demuxer.container())
      .With("codec", demuxer.codec())
      .With("position", position)
      .With("reason", refusal != 0 ? ff::ErrorName(refusal) : "the decoder gave no picture");
}

PictureStream::PictureStream(Demuxer& demuxer, Decoder& decoder, MakeRecoveryDecoder make_recovery,
                             const FrameIndex& index, const ParameterSets& parameter_sets,
                             const DecodePlan& plan, int max_packets_without_frame)
    : decoder_(decoder),
      make_recovery_(std::move(make_recovery)),
      index_(index),
      plan_(plan),
      max_packets_without_frame_(max_packets_without_frame),
      run_reader_(demuxer, index, parameter_sets, plan),
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
  recovering_ = false;
  went_back_ = false;
  first_ = run.first;
  whole_ = !decoder_.allows_gaps() || !index_.skippable();
  return StartAtFirst();
}

// Forgets all damage: nothing is known of what is decoded from here on.
Status PictureStream::StartAtFirst() {
  refused_ = decoder().refused();
  last_order_ = -1;
  damage_ = 0;
  damaged_places_.clear();
  keyframe_is_lost_ = false;
  silent_packets_ = 0;
  references_.Reset();
  return run_reader_.Begin(plan_.runs[run_], first_, !whole_);
}

Status PictureStream::SendOne() {
  const DecodeRun& run = plan_.runs[run_];
  COSMOS_ASSIGN_OR_RETURN(const auto read, run_reader_.Next(*packet_));
  if (!read) return EndRun();

  const int place = read->place;
  // A keyframe that is left out is none that decoding starts at.
  if (place == first_ && first_ > 0 && read->shows && !CanStartAt(*packet_)) return StartEarlier();
  const bool shown = index_.packet(place).shown;
  if (!read->is_needed) {
    silent_packets_ += shown ? 1 : 0;
    return place == run.last ? EndRun() : Status();
  }
  packets_since_frame_ += read->shows ? 1 : 0;
  silent_packets_ += shown ? 1 : 0;
  counts_.decoded += shown ? 0 : 1;
  sent_place_ = place;
  // Leading pictures lack references after a seek; those of the index lack them in the file itself.
  const bool lacks_references = references_.MissesPictures(*packet_) && !IsLeading(place);
  if (lacks_references || index_.IsAfterLoss(place)) NoteDamage(1, place);
  const bool whole = plan_.wants(place) || !index_.skippable();
  if (Status status = decoder().Send(*packet_, place, whole); !status.ok()) return status;
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
  decode_again_ = MustDecodeAgain(index_.packet_count());
  if (decode_again_) return {};
  decoder().Reset();
  counts_.damage += damage_;
  counts_.discarded += std::max<std::int64_t>(silent_packets_, 0);
  SubstituteBefore(index_.packet_count(), nullptr);
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
    if (damage_ > 0 && (run_reader_.leaves_out() || WantsRecovery())) decode_again_ = true;
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
  if (IsLeading(place) || (keyframe_is_lost_ && DependsOnDamage(place))) return;
  if (picture.damaged) NoteDamage(1, place);
  // Pictures must come out in presentation order, without gaps.
  if (decoder().missing_is_damage() && (order <= last_order_ || IsMissing(order))) ++damage_;
  last_order_ = order;
  decode_again_ = MustDecodeAgain(order);
  if (decode_again_) return;
  if (!picture.frame) return;
  const Shown shown{place, std::shared_ptr<AVFrame>(picture.frame.release(), ff::Free()),
                    DependsOnDamage(place), recovering_};
  SubstituteBefore(order, &shown);
  if (!pending_.empty() && pending_.front() == order) {
    pending_.erase(pending_.begin());
    ready_.push_back({place, place, shown.frame, shown.damaged, shown.recovered});
  }
  last_ = shown;
}

void PictureStream::NoteDamage(int count, int place) {
  if (count == 0) return;
  damage_ += count;
  damaged_places_.insert(std::ranges::upper_bound(damaged_places_, place), place);
}

// Any picture between damage and the next keyframe may be predicted from it, and decoders do not report that.
bool PictureStream::DependsOnDamage(int place) const {
  const auto after = std::ranges::upper_bound(damaged_places_, place);
  return after != damaged_places_.begin() && index_.KeyframeFor(place) <= *(after - 1);
}

// The container may have flagged a packet as a keyframe that is none.
bool PictureStream::CanStartAt(const AVPacket& packet) {
  const AccessUnit unit = reader_.Read(packet);
  return unit.random_access || unit.intra;
}

// Shown before the keyframe that the run began at: it may depend on pictures that were not decoded, and no
// wanted picture depends on it. At the beginning of the stream the index knows which of them are shown.
bool PictureStream::IsLeading(int place) const {
  if (first_ == 0 && index_.packet(place).shown) return false;
  return index_.order(place) < index_.order(first_) || (first_ == 0 && !index_.packet(0).keyframe);
}

bool PictureStream::WantsRecovery() const { return damage_ > 0 && !recovering_ && make_recovery_; }

// Pictures come out in presentation order, so a wanted picture before `order` will not come any more.
bool PictureStream::IsMissing(int order) const { return !pending_.empty() && pending_.front() < order; }

// Before the picture at `order` comes out. With gradual refresh (intra refresh) a picture is complete only
// some time after the keyframe.
bool PictureStream::MustDecodeAgain(int order) const {
  if (run_reader_.leaves_out() && (damage_ > 0 || IsMissing(order))) return true;
  return WantsRecovery() || (!went_back_ && first_ > 0 && IsMissing(order));
}

Status PictureStream::DecodeAgain() {
  decode_again_ = false;
  const bool left_out = !std::exchange(whole_, true) && run_reader_.leaves_out();
  if (WantsRecovery()) {
    if (!recovery_decoder_) {
      COSMOS_ASSIGN_OR_RETURN(recovery_decoder_, make_recovery_());
    }
    decoder_.Reset();
    recovering_ = true;
  } else if (!left_out) {
    went_back_ = true;
    first_ = index_.KeyframeFor(first_ - 1);
  }
  decoder().Reset();
  packets_since_frame_ = 0;
  return StartAtFirst();
}

Status PictureStream::StartEarlier() {
  whole_ = true;
  first_ = index_.KeyframeFor(first_ - 1);
  return StartAtFirst();
}

// Replaces wanted pictures before `order`, which are missing, by the better of the last picture and `after`.
void PictureStream::SubstituteBefore(int order, const Shown* after) {
  SubstituteDeferred(after);
  const auto end = std::ranges::lower_bound(pending_, order);
  for (auto missing = pending_.begin(); missing != end; ++missing) {
    if (!last_ && !after) return;  // nothing came out yet: the first picture will be the substitute
    if (!after && !IsWithinBounds(*missing, last_->place) && MayComeWithinBounds(*missing)) {
      deferred_.push_back({*missing, *last_});
    } else if (last_ && after) {
      Substitute(*missing, Better(*missing, *last_, *after));
    } else {
      Substitute(*missing, after ? *after : *last_);
    }
  }
  pending_.erase(pending_.begin(), end);
}

// Replaces those that waited for this picture; at the end of a run also those for which none will come.
void PictureStream::SubstituteDeferred(const Shown* after) {
  std::erase_if(deferred_, [&](const Deferred& missing) {
    const bool fits = after && IsWithinBounds(missing.order, after->place);
    if (!fits && (after || MayComeWithinBounds(missing.order))) return false;
    Substitute(missing.order, fits ? *after : missing.before);
    return true;
  });
}

const PictureStream::Shown& PictureStream::Better(int order, const Shown& before, const Shown& after) const {
  const bool fits = IsWithinBounds(order, before.place);
  if (fits != IsWithinBounds(order, after.place)) return fits ? before : after;
  return order - index_.order(before.place) <= index_.order(after.place) - order ? before : after;
}

void PictureStream::Substitute(int order, const Shown& by) {
  ready_.push_back({index_.place_at(order), by.place, by.frame, by.damaged, by.recovered});
}

// Whether the picture at `place` is among the frames that stand in first for the wanted one.
bool PictureStream::IsWithinBounds(int order, int place) const {
  if (plan_.bounds.empty()) return true;
  const auto wanted = std::ranges::lower_bound(plan_.wanted, index_.place_at(order)) - plan_.wanted.begin();
  return index_.packet(place).shown && plan_.bounds[wanted].Include(index_.rank(place));
}

// Whether a later run decodes such a picture: one of its first, since they come almost in presentation order.
bool PictureStream::MayComeWithinBounds(int order) const {
  constexpr std::ptrdiff_t kFirst = 17;
  const auto begin = std::ranges::upper_bound(plan_.wanted, plan_.runs[run_].last);
  const auto end = begin + std::min(kFirst, plan_.wanted.end() - begin);
  return std::any_of(begin, end, [&](int place) { return IsWithinBounds(order, place); });
}

}  // namespace cosmos
