// NVDEC or CPU: where a clip is estimated to be finished first. No clock, no threads, no GPU in it.
#pragma once

#include <map>
#include <utility>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

enum class DecodePath { kNvdec, kSoftware };

struct DecodeWork {
  AVCodecID codec = AV_CODEC_ID_NONE;
  double pixels = 0;         // of a coded picture, times the pictures to be decoded
  double setup_seconds = 0;  // until NVDEC has a decoder for it
};

// Who is at work now.
struct DecodeLoad {
  int nvdec_slots = 1;       // clips that NVDEC decodes at a time
  int nvdec_clips = 0;       // that it decodes or that wait for it
  double nvdec_seconds = 0;  // that these are estimated to take, one after the other
  int cpu_slots = 0;         // clips that the CPU may decode meanwhile
  int cpu_clips = 0;         // that it does
};

class DecodeRouter {
 public:
  DecodePath Choose(const DecodeWork& work, const DecodeLoad& load) const;
  // Seconds that one NVDEC engine or one CPU core takes, without setup.
  double Seconds(DecodePath path, const DecodeWork& work) const;
  // What it took: later estimates follow.
  void Learn(DecodePath path, const DecodeWork& work, double seconds);

 private:
  double Speed(DecodePath path, AVCodecID codec) const;

  std::map<std::pair<DecodePath, AVCodecID>, double> learned_;  // pixels per second
};

}  // namespace cosmos
