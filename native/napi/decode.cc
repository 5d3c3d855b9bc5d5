#include "napi/decode.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "media/clip_reader.h"
#include "napi/media_convert.h"
#include "napi/segment_reader.h"

namespace cosmos {
namespace {

Result<DecodedClip> Decode(MediaSource source, const ClipRequest& request, const CancelTokenPtr& cancel) {
  COSMOS_ASSIGN_OR_RETURN(auto reader, ClipReader::Open(std::move(source), request, std::nullopt, cancel));
  COSMOS_ASSIGN_OR_RETURN(auto clip, reader->Next(cancel));
  if (!clip.has_value()) {
    return Status(StatusCode::kInternal, "the reader gave no clip. This is a bug in cosmos-embed.");
  }
  return *std::move(clip);
}

Result<DecodedClip> Decode(const std::vector<StillSource>& stills, const ClipRequest& request,
                           const CancelTokenPtr& cancel) {
  std::vector<StillImage> images;
  for (const StillSource& still : stills) {
    if (still.width == 0) {
      images.emplace_back(still.bytes);
    } else {
      const auto& pixels = still.bytes.data;
      images.emplace_back(RgbImage{still.width, still.height, {pixels.begin(), pixels.end()}});
    }
  }
  return ClipFromImages(images, request, cancel);
}

Napi::Value ReaderToValue(Napi::Env env, std::unique_ptr<ClipReader>&& reader) {
  return NativeSegmentReader::New(env, std::move(reader));
}

}  // namespace

Napi::Value DecodeClip(const Napi::CallbackInfo& info) {
  const ClipRequest request = ReadClipRequest(Arg(info[1], "options"));
  const ClipSource source = ReadClipSource(Arg(info[0], "source"));
  return RunOnPool(info.Env(), {},
                   [source, request](const CancelTokenPtr& cancel) {
                     return std::visit(
                         [&](const auto& media) {
                           return ToOutcome<DecodedClip>(Decode(media, request, cancel), ToValue);
                         },
                         source);
                   })
      .handle;
}

Napi::Value OpenSegments(const Napi::CallbackInfo& info) {
  const ClipRequest request = ReadClipRequest(Arg(info[1], "options"));
  const Windows windows = ReadWindows(Arg(info[2], "windows"));
  const MediaSource source = ReadMediaSource(Arg(info[0], "source"));
  return RunOnPool(info.Env(), {},
                   [source, request, windows](const CancelTokenPtr& cancel) {
                     return ToOutcome<std::unique_ptr<ClipReader>>(
                         ClipReader::Open(source, request, windows, cancel), ReaderToValue);
                   })
      .handle;
}

}  // namespace cosmos
