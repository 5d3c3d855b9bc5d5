#include "napi/decode.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "media/clip_reader.h"
#include "napi/media_convert.h"
#include "napi/segment_reader.h"

namespace cosmos {
namespace {

// A request, and the processes that decode it; without them this one does.
struct DecodeTask {
  ClipRequest request;
  std::shared_ptr<DecoderPool> decoders;
};

DecodeTask ReadTask(const Arg& options) { return {ReadClipRequest(options), ReadDecoders(options)}; }

Result<std::unique_ptr<ClipReader>> Open(const MediaSource& source, const DecodeTask& task,
                                         const std::optional<Windows>& windows,
                                         const CancelTokenPtr& cancel) {
  if (task.decoders) return task.decoders->OpenReader(source, task.request, windows, cancel);
  return ClipReader::Open(source, task.request, windows, cancel);
}

Result<DecodedClip> Decode(const MediaSource& source, const DecodeTask& task, const CancelTokenPtr& cancel) {
  COSMOS_ASSIGN_OR_RETURN(auto reader, Open(source, task, std::nullopt, cancel));
  COSMOS_ASSIGN_OR_RETURN(auto clip, reader->Next(cancel));
  if (!clip.has_value()) {
    return Status(StatusCode::kInternal, "the reader gave no clip. This is a bug in cosmos-embed.");
  }
  return *std::move(clip);
}

Result<DecodedClip> Decode(const std::vector<StillSource>& stills, const DecodeTask& task,
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
  if (task.decoders) return task.decoders->ClipFromImages(images, task.request, cancel);
  return ClipFromImages(images, task.request, cancel);
}

Napi::Value ReaderToValue(Napi::Env env, std::unique_ptr<ClipReader>&& reader) {
  return NativeSegmentReader::New(env, std::move(reader));
}

}  // namespace

Napi::Value DecodeClip(const Napi::CallbackInfo& info) {
  const DecodeTask task = ReadTask(Arg(info[1], "options"));
  const ClipSource source = ReadClipSource(Arg(info[0], "source"));
  return RunOnPool(info.Env(), {},
                   [source, task](const CancelTokenPtr& cancel) {
                     return std::visit(
                         [&](const auto& media) {
                           return ToOutcome<DecodedClip>(Decode(media, task, cancel), ToValue);
                         },
                         source);
                   })
      .handle;
}

Napi::Value OpenSegments(const Napi::CallbackInfo& info) {
  const DecodeTask task = ReadTask(Arg(info[1], "options"));
  const Windows windows = ReadWindows(Arg(info[2], "windows"));
  const MediaSource source = ReadMediaSource(Arg(info[0], "source"));
  return RunOnPool(info.Env(), {},
                   [source, task, windows](const CancelTokenPtr& cancel) {
                     return ToOutcome<std::unique_ptr<ClipReader>>(Open(source, task, windows, cancel),
                                                                   ReaderToValue);
                   })
      .handle;
}

}  // namespace cosmos
