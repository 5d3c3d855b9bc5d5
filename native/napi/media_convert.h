// Between the structs of media/ and JavaScript.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "media/clip_reader.h"
#include "napi/arg.h"
#include "napi/node.h"

namespace cosmos {

ClipRequest ReadClipRequest(const Arg& options);
Windows ReadWindows(const Arg& windows);

// A still picture whose bytes are pinned; one that holds raw RGB is copied into a RgbImage on the worker.
struct StillSource {
  MediaBytes bytes;
  int width = 0;  // 0: encoded
  int height = 0;
};
using ClipSource = std::variant<MediaSource, std::vector<StillSource>>;

// Pins last: read every other argument before, because reading runs the caller's getters.
MediaSource ReadMediaSource(const Arg& source);
ClipSource ReadClipSource(const Arg& source);

Napi::Value ToValue(Napi::Env env, DecodedClip&& decoded);

}  // namespace cosmos
