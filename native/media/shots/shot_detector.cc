#include "media/shots/shot_detector.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace cosmos {
namespace {

// Frames on each side that show how much the picture moves anyway.
constexpr int kNeighbours = 2;
// How many times larger than those frames' changes a cut is.
constexpr double kStandsOut = 2.5;
// The part of a flash's change that may be left when it is over.
constexpr double kReturned = 0.25;
// The share of the picture that changes in a cut, at least. Something large that moves fast through a still
// picture changes less.
constexpr double kWidespread = 1.0 / 3;
// The luma up to which a cell is black, in full and in limited range alike.
constexpr float kBlack = 24;
// Times that are meant to be equal may differ by this much, in seconds.
constexpr double kRounding = 1e-6;

// Whether enough cells differ by the threshold, of those that are not black in both pictures: bars above,
// below or beside the content belong to neither.
bool IsWidespread(const Thumbnail& a, const Thumbnail& b, double threshold) {
  int changed = 0;
  int shown = 0;
  for (std::size_t cell = 0; cell < Thumbnail::kCells; ++cell) {
    const bool differs = std::abs(a.luma[cell] - b.luma[cell]) + std::abs(a.cb[cell] - b.cb[cell]) +
                             std::abs(a.cr[cell] - b.cr[cell]) >=
                         threshold;
    changed += differs ? 1 : 0;
    shown += differs || std::max(a.luma[cell], b.luma[cell]) > kBlack ? 1 : 0;
  }
  return changed >= kWidespread * shown;
}

}  // namespace

std::optional<int> ShotDetector::Add(const Thumbnail& thumbnail, double seconds) {
  const Change change{seconds, frames_ > 0 ? Difference(thumbnail, last_) : 0};
  std::optional<int> shot;
  if (candidate_ && !IsWithin(seconds)) shot = Confirm();
  if (!candidate_ || Observe(thumbnail, change.amount)) Consider(thumbnail, change);
  changes_.push_back(change);
  if (changes_.size() > kNeighbours) changes_.pop_front();
  last_ = thumbnail;
  ++frames_;
  return shot;
}

std::optional<int> ShotDetector::Finish(double end) {
  if (!candidate_) return std::nullopt;
  if (!IsWithin(end)) return Confirm();
  candidate_.reset();
  return std::nullopt;
}

std::optional<int> ShotDetector::candidate() const {
  return candidate_ ? std::optional(candidate_->frame) : std::nullopt;
}

// Whether a shot from the candidate to `seconds` would be too short.
bool ShotDetector::IsWithin(double seconds) const {
  return seconds < candidate_->seconds + options_.min_seconds - kRounding;
}

// Looks at a frame within the minimum length. Returns whether the candidate was dropped and that frame may be
// one instead.
bool ShotDetector::Observe(const Thumbnail& thumbnail, double change) {
  // After a strong flash more may differ: what moves has moved meanwhile.
  const double undone =
      std::max(std::min(options_.threshold, candidate_->change / 2), candidate_->change * kReturned);
  if (Difference(thumbnail, candidate_->before) < undone) {
    candidate_.reset();
    return false;
  }
  if (candidate_->after == kNeighbours) return false;
  ++candidate_->after;
  candidate_->motion += change;
  // The larger of two changes is the cut: the smaller one leads to a blend of both shots, or is movement.
  const bool is_lesser = change > candidate_->change;
  if (!is_lesser && (candidate_->after < kNeighbours || StandsOut())) return false;
  candidate_.reset();
  return true;
}

bool ShotDetector::StandsOut() const {
  const int neighbours = candidate_->before_count + candidate_->after;
  return neighbours == 0 || candidate_->change * neighbours >= kStandsOut * candidate_->motion;
}

void ShotDetector::Consider(const Thumbnail& thumbnail, const Change& change) {
  const double earliest = shot_start_ + std::max(options_.min_seconds - kRounding, kRounding);
  if (frames_ == 0 || change.amount < options_.threshold || change.seconds < earliest) return;
  if (!IsWidespread(thumbnail, last_, options_.threshold)) return;
  candidate_ =
      Candidate{.frame = frames_, .seconds = change.seconds, .change = change.amount, .before = last_};
  for (const Change& earlier : changes_) {
    if (earlier.seconds <= change.seconds - options_.min_seconds) continue;
    ++candidate_->before_count;
    candidate_->motion += earlier.amount;
  }
}

std::optional<int> ShotDetector::Confirm() {
  std::optional<int> shot;
  if (StandsOut()) {
    shot = candidate_->frame;
    shot_start_ = candidate_->seconds;
  }
  candidate_.reset();
  return shot;
}

}  // namespace cosmos
