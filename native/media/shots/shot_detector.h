// Decides where shots begin, from one thumbnail per frame. Knows neither files nor decoders.
#pragma once

#include <deque>
#include <optional>

#include "media/clip_types.h"
#include "media/shots/thumbnail.h"

namespace cosmos {

// A frame begins a shot if it differs from the frame before by at least the threshold, in a good part of the
// picture, and by much more than the frames around it within the minimum length, which all differ while the
// camera moves. The decision waits for what follows: if the earlier content returns within the minimum
// length, the change was a flash.
class ShotDetector {
 public:
  // `start`: seconds; where the first shot begins.
  ShotDetector(const ShotOptions& options, double start) : options_(options), shot_start_(start) {}

  // Adds the next frame in presentation order, which is shown at `seconds`. Returns the number of the frame,
  // counted from 0, that begins a shot, once that is certain. One call returns at most one.
  std::optional<int> Add(const Thumbnail& thumbnail, double seconds);
  // Ends the video at `end` seconds. Returns the last shot's first frame if that was not certain yet.
  std::optional<int> Finish(double end);

  // The frame that may turn out to begin a shot: it and all that follow are still needed.
  std::optional<int> candidate() const;

 private:
  struct Change {
    double seconds = 0;
    double amount = 0;  // from the frame before
  };
  struct Candidate {
    int frame = 0;
    double seconds = 0;
    double change = 0;     // from the frame before
    double motion = 0;     // the sum of the changes of the frames around it
    int before_count = 0;  // the number of those frames
    int after = 0;
    Thumbnail before;  // the frame before
  };

  bool IsWithin(double seconds) const;
  bool Observe(const Thumbnail& thumbnail, double change);
  bool StandsOut() const;
  void Consider(const Thumbnail& thumbnail, const Change& change);
  std::optional<int> Confirm();

  const ShotOptions options_;
  double shot_start_;
  int frames_ = 0;
  Thumbnail last_;
  std::deque<Change> changes_;  // of the last frames
  std::optional<Candidate> candidate_;
};

}  // namespace cosmos
