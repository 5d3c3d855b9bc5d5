// What the double of libnvcuvid has beyond NVIDIA's interface: plain C functions that tests find with dlsym.
//
// Parser and decoder are two: the parser reads packets with a libavcodec of its own and calls back as
// NVIDIA's does; the decoder sees only the pictures that it is handed. So a picture that is not decoded is
// missing, and whatever refers to one is misuse.
//
// Misuse goes to fakes::Misuse of the double of libcuda.
//
// Environment, read at every call:
//   COSMOS_FAKE_NVDEC_CAPS         "h264:420:8 hevc:420:10 …"; by default what Hopper decodes
//   COSMOS_FAKE_NVDEC_ENGINES      7
//   COSMOS_FAKE_NVDEC_LATE_PARSER  1: CUVID_PKT_ENDOFPICTURE is not understood
//   COSMOS_FAKE_FAULTS             see ../faults.h: a function by its symbol, "status", the decode status of
//   the
//                                  n-th picture, or "timestamp", that of the n-th picture shown
#pragma once

#include <cstdint>

#define FAKE_NVCUVID_EXPORT __attribute__((visibility("default")))

extern "C" {
struct FakeNvcuvidCounts {
  // Now:
  int decoders;
  int parsers;
  int mapped;
  // Since the last reset:
  std::int64_t created;
  std::int64_t reconfigured;
  std::int64_t decoded;  // pictures
  std::int64_t maps;
  std::int64_t caps;  // questions
};
FAKE_NVCUVID_EXPORT FakeNvcuvidCounts fake_nvcuvid_counts();
FAKE_NVCUVID_EXPORT void fake_nvcuvid_reset();
}
