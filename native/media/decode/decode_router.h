// Estimates whether the hardware or the CPU finishes a clip first. A pure function of its inputs: no clock,
// no threads, no GPU.
#pragma once

#include <map>
#include <utility>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

enum class DecodePath { kHardware, kSoftware };

// Pixels per second that one engine or core decodes.
using DecodeSpeed = double (*)(AVCodecID codec);

struct DecodeWork {
  AVCodecID codec = AV_CODEC_ID_NONE;
  double pixels = 0;         // of a coded picture, times the number of pictures to decode
  double setup_seconds = 0;  // until the hardware has a decoder for it
  int backlog = 0;           // clips that wait behind this one, where only the end of all of them counts
};

// What runs and waits at the moment.
struct DecodeLoad {
  int hardware_slots = 1;       // clips that the hardware decodes at a time
  int hardware_clips = 0;       // running on it or waiting for it
  double hardware_seconds = 0;  // estimated for those clips, one after the other
  int cpu_slots = 0;            // clips that the CPU may take over from the hardware at a time
  int cpu_clips = 0;            // running on the CPU
};

class DecodeRouter {
 public:
  // `hardware_speed` is the estimate for one engine until the first measurement of a codec.
  explicit DecodeRouter(DecodeSpeed hardware_speed) : hardware_speed_(hardware_speed) {}

  DecodePath Choose(const DecodeWork& work, const DecodeLoad& load) const;
  // The estimate for one engine or one CPU core, without setup.
  double Seconds(DecodePath path, const DecodeWork& work) const;
  // Adjusts later estimates to a measurement.
  void Learn(DecodePath path, const DecodeWork& work, double seconds);

 private:
  double Speed(DecodePath path, AVCodecID codec) const;
  double InitialSpeed(DecodePath path, AVCodecID codec) const;

  const DecodeSpeed hardware_speed_;
  std::map<std::pair<DecodePath, AVCodecID>, double> learned_;  // pixels per second
};

}  // namespace cosmos
