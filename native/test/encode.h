// Helpers that begin a run and wait for its result.
#pragma once

#include <span>
#include <vector>

#include "engine/engine.h"

namespace cosmos {

inline Result<std::vector<float>> Wait(Result<std::unique_ptr<EngineRun>> run) {
  if (!run.ok()) return run.TakeStatus();
  return run.value()->Finish();
}

inline Result<std::vector<float>> Encode(Engine& engine, std::span<const ClipPtr> clips,
                                         CancelToken& cancel) {
  return Wait(engine.BeginVideo(clips, cancel));
}

inline Result<std::vector<float>> Encode(Engine& engine, std::span<const TokenRow> rows,
                                         CancelToken& cancel) {
  return Wait(engine.BeginText(rows, cancel));
}

}  // namespace cosmos
