// Converts structs of media/ from and to JavaScript values.
#pragma once

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "isolation/decoder_pool.h"
#include "media/clip_reader.h"
#include "napi/arg.h"
#include "napi/node.h"

namespace cosmos {

ClipRequest ReadClipRequest(const Arg& options);
// The processes that decode the request, or null: this process does.
std::shared_ptr<DecoderPool> ReadDecoders(const Arg& options);
Windows ReadWindows(const Arg& windows);

// A still image whose bytes are pinned: encoded, or raw RGB, which the worker copies into an RgbImage.
struct StillSource {
  MediaBytes bytes;
  int width = 0;  // 0 for an encoded image
  int height = 0;
};
using ClipSource = std::variant<MediaSource, std::vector<StillSource>>;

// Both pin the bytes. Read all other arguments first, because reading runs getters of the caller.
MediaSource ReadMediaSource(const Arg& source);
ClipSource ReadClipSource(const Arg& source);

Napi::Value ToValue(Napi::Env env, DecodedClip&& decoded);

}  // namespace cosmos
