// The fake libnvcuvid: what it has beyond NVIDIA's interface. Tests find the plain C functions with dlsym.
//
// Rules of the real library that it enforces: streams and sizes lie within the card's capabilities; a decoder
// has a fixed number of surfaces; references are decoded first; surfaces are unmapped before a decoder is
// destroyed or reconfigured; post-processing is work on the caller's stream.
//
// Parser and decoder are separate, like NVIDIA's. The parser reads packets with its own libavcodec decoder
// and calls back in NVIDIA's order; the decoder sees only the pictures that it is given. A picture that is
// not decoded is missing, and decoding one that refers to it is misuse (fake_cuda.h).
//
// Environment, read at every call:
//   COSMOS_FAKE_NVDEC_CAPS         "h264:420:8 hevc:420:10 …"; default: what Hopper decodes
//   COSMOS_FAKE_NVDEC_ENGINES      number of NVDEC engines, default 7
//   COSMOS_FAKE_NVDEC_LATE_PARSER  1: the parser ignores CUVID_PKT_ENDOFPICTURE
//   COSMOS_FAKE_FAULTS             see ../faults.h. Functions by symbol; "status": the decode status of
//                                  the n-th picture; "timestamp": that of the n-th displayed picture
#pragma once

#include <cstdint>

#define FAKE_NVCUVID_EXPORT __attribute__((visibility("default")))

extern "C" {
struct FakeNvcuvidCounts {
  // Current:
  int decoders;
  int parsers;
  int mapped;
  // Of the surfaces that the decoders were made for, at 12 bits a pixel. The fake does not allocate them.
  std::int64_t bytes;
  // Since the last reset:
  std::int64_t created;
  std::int64_t reconfigured;
  std::int64_t decoded;  // pictures
  std::int64_t maps;
  std::int64_t caps;  // calls of cuvidGetDecoderCaps
  int most_parsers;   // at one time
  std::int64_t most_bytes;
};
FAKE_NVCUVID_EXPORT FakeNvcuvidCounts fake_nvcuvid_counts();
FAKE_NVCUVID_EXPORT void fake_nvcuvid_reset();
}
