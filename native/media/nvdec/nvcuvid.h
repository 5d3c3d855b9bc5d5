// NVIDIA's video decoder library, opened at run time and once per process. Types and prototypes come from
// nv-codec-headers.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "cuda/abi.h"
// After abi.h, whose types it uses.
#include <ffnvcodec/dynlink_nvcuvid.h>

namespace cosmos {

// Name in the table, symbol in the library, type. All return CUresult and need a current CUDA context.
#define COSMOS_NVCUVID_FUNCTIONS(F)                                          \
  F(GetDecoderCaps, "cuvidGetDecoderCaps", tcuvidGetDecoderCaps)             \
  F(CreateVideoParser, "cuvidCreateVideoParser", tcuvidCreateVideoParser)    \
  F(ParseVideoData, "cuvidParseVideoData", tcuvidParseVideoData)             \
  F(DestroyVideoParser, "cuvidDestroyVideoParser", tcuvidDestroyVideoParser) \
  F(CreateDecoder, "cuvidCreateDecoder", tcuvidCreateDecoder)                \
  F(DestroyDecoder, "cuvidDestroyDecoder", tcuvidDestroyDecoder)             \
  F(DecodePicture, "cuvidDecodePicture", tcuvidDecodePicture)                \
  F(GetDecodeStatus, "cuvidGetDecodeStatus", tcuvidGetDecodeStatus)          \
  F(ReconfigureDecoder, "cuvidReconfigureDecoder", tcuvidReconfigureDecoder) \
  F(MapVideoFrame, "cuvidMapVideoFrame64", tcuvidMapVideoFrame64)            \
  F(UnmapVideoFrame, "cuvidUnmapVideoFrame64", tcuvidUnmapVideoFrame64)

struct NvcuvidApi {
#define COSMOS_NVCUVID_MEMBER(name, symbol, type) type* name = nullptr;
  COSMOS_NVCUVID_FUNCTIONS(COSMOS_NVCUVID_MEMBER)
#undef COSMOS_NVCUVID_MEMBER
};

class Nvcuvid {
 public:
  // `path` is absolute, or empty for libnvcuvid.so.1 as the system's loader finds it. Fails with kLibrary
  // when the library or one of its functions is missing.
  static Result<const Nvcuvid*> Open(const std::string& path = {});

  Nvcuvid(const Nvcuvid&) = delete;
  Nvcuvid& operator=(const Nvcuvid&) = delete;

  const NvcuvidApi& api() const { return api_; }
  // The name or path that it was opened by.
  const std::string& library() const { return library_; }

 private:
  static Result<std::unique_ptr<Nvcuvid>> Load(const std::string& path);
  Nvcuvid(std::string library, const NvcuvidApi& api) : library_(std::move(library)), api_(api) {}

  const std::string library_;
  const NvcuvidApi api_;
};

}  // namespace cosmos
