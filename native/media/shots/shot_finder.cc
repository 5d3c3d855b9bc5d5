#include "media/shots/shot_finder.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cosmos {
namespace {

// A shot's pictures are kept up to this part of the job's memory; a longer shot's frames are decoded again.
constexpr std::int64_t kPartToKeep = 8;

std::int64_t BytesOf(const AVFrame& frame) {
  std::int64_t bytes = 0;
  for (const AVBufferRef* buffer : frame.buf) {
    if (buffer) bytes += static_cast<std::int64_t>(buffer->size);
  }
  return bytes;
}

// Whether decoding just this picture gives the same. Of damage, each attempt may make something else.
bool IsWhole(const WantedPicture& picture) { return picture.place == picture.wanted && !picture.damaged; }

}  // namespace

ShotFinder::ShotFinder(const VideoScan& scan, const ClipRequest& request, const ShotOptions& options,
                       SecondsRange range)
    : scan_(scan),
      range_(range),
      max_kept_bytes_(request.limits.max_bytes / kPartToKeep),
      first_rank_(scan.index.RankAtOrAfter(scan.TimeAt(range.start))),
      end_rank_(scan.index.RankAtOrAfter(scan.TimeAt(range.end))),
      detector_(options, range.start),
      next_rank_(first_rank_),
      shot_rank_(first_rank_),
      shot_start_(range.start),
      kept_rank_(first_rank_) {}

Result<std::unique_ptr<ShotFinder>> ShotFinder::Open(const MediaSource& media, const VideoScan& scan,
                                                     const ClipRequest& request, const ShotOptions& options,
                                                     SecondsRange range, JobGuard& guard) {
  std::unique_ptr<ShotFinder> finder(new ShotFinder(scan, request, options, range));
  if (Status status = finder->OpenDecoder(media, request, guard); !status.ok()) return status;
  return finder;
}

Status ShotFinder::OpenDecoder(const MediaSource& media, const ClipRequest& request, JobGuard& guard) {
  COSMOS_ASSIGN_OR_RETURN(demuxer_, Demuxer::Open(media, request.limits, guard));
  // One thread more than asked for: this one compares pictures meanwhile and makes the clips, and the
  // decoder's threads would wait for it.
  const int threads = request.threads > 1 ? request.threads + 1 : 1;
  COSMOS_ASSIGN_OR_RETURN(
      decoder_, SoftwareDecoder::Open(demuxer_->parameters(), {.threads = threads,
                                                               .reorder_depth = scan_.index.reorder_depth(),
                                                               .time_base = demuxer_->stream().time_base,
                                                               .limits = request.limits,
                                                               .guard = &guard}));
  std::vector<int> ranks(static_cast<std::size_t>(std::max(end_rank_ - first_rank_, 0)));
  std::iota(ranks.begin(), ranks.end(), first_rank_);
  plan_ = PlanDecode(scan_.index, ranks, {.decoder_delay = decoder_->delay()});
  plan_.chosen = {};
  // Without a recovery decoder: after damage it would decode the whole range again, from the beginning.
  pictures_ =
      std::make_unique<PictureStream>(*demuxer_, *decoder_, nullptr, scan_.index, scan_.parameter_sets, plan_,
                                      request.limits.max_packets_without_frame);
  return {};
}

Result<std::optional<Shot>> ShotFinder::Next() {
  std::optional<Shot> shot;
  while (!shot && !ended_) {
    if (all_decoded_ || next_rank_ >= end_rank_) {
      shot = Finish();
      continue;
    }
    COSMOS_ASSIGN_OR_RETURN(auto picture, pictures_->Next());
    if (!picture) {
      if (next_rank_ == first_rank_) {
        return NothingDecoded(*demuxer_, SecondsAt(first_rank_), decoder_->refusal());
      }
      next_rank_ = end_rank_;
      continue;
    }
    COSMOS_ASSIGN_OR_RETURN(const auto thumbnail, thumbnails_.Make(*picture->frame));
    shot = Add(*std::move(picture), thumbnail);
  }
  return shot;
}

std::optional<Shot> ShotFinder::Add(WantedPicture picture, const Thumbnail& thumbnail) {
  std::optional<Shot> shot;
  if (const auto cut = detector_.Add(thumbnail, SecondsAt(next_rank_))) {
    const int rank = first_rank_ + *cut;
    shot = EndShot(rank, SecondsAt(rank));
  }
  Keep(std::move(picture));
  ++next_rank_;
  return shot;
}

std::optional<Shot> ShotFinder::Finish() {
  if (!std::exchange(all_decoded_, true)) {
    if (const auto cut = detector_.Finish(range_.end)) {
      const int rank = first_rank_ + *cut;
      return EndShot(rank, SecondsAt(rank));
    }
  }
  ended_ = true;
  return EndShot(end_rank_, range_.end);
}

// Keeps the next picture if it may be needed for a shot whose pictures have all been kept.
void ShotFinder::Keep(WantedPicture picture) {
  const auto candidate = detector_.candidate();
  const int needed = kept_rank_ <= shot_rank_ ? shot_rank_ : first_rank_ + candidate.value_or(next_rank_ + 1);
  DropBefore(needed);
  if (kept_rank_ + static_cast<int>(kept_.size()) != next_rank_) return;
  kept_bytes_ += BytesOf(*picture.frame);
  kept_.push_back(std::move(picture));
  if (kept_bytes_ > max_kept_bytes_ && candidate) DropBefore(first_rank_ + *candidate);
  if (kept_bytes_ > max_kept_bytes_) DropBefore(next_rank_ + 1);
}

void ShotFinder::DropBefore(int rank) {
  while (kept_rank_ < rank) {
    if (!kept_.empty()) {
      kept_bytes_ -= BytesOf(*kept_.front().frame);
      kept_.pop_front();
    }
    ++kept_rank_;
  }
}

Shot ShotFinder::EndShot(int end_rank, double end) {
  Shot shot{.range = {shot_start_, end}, .pictures = {}};
  const auto count = static_cast<std::size_t>(std::max(end_rank - shot_rank_, 0));
  if (kept_rank_ == shot_rank_ && kept_.size() >= count &&
      std::all_of(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(count), IsWhole)) {
    shot.pictures.assign(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(count));
    std::ranges::sort(shot.pictures, {}, &WantedPicture::wanted);
  }
  DropBefore(end_rank);
  shot_rank_ = end_rank;
  shot_start_ = end;
  return shot;
}

}  // namespace cosmos
