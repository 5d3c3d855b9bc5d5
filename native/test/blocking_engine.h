// Base class for fake engines that compute on the calling thread: Begin returns only once the run has
// finished.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace cosmos {

class BlockingEngine : public Engine {
 public:
  Result<std::unique_ptr<EngineRun>> BeginVideo(std::span<const ClipPtr> clips, CancelToken& cancel) final {
    return Finished(EncodeVideo(clips, cancel));
  }
  Result<std::unique_ptr<EngineRun>> BeginText(std::span<const TokenRow> rows, CancelToken& cancel) final {
    return Finished(EncodeText(rows, cancel));
  }

 protected:
  virtual Result<std::vector<float>> EncodeVideo(std::span<const ClipPtr> clips, CancelToken& cancel) = 0;
  virtual Result<std::vector<float>> EncodeText(std::span<const TokenRow> rows, CancelToken& cancel) = 0;

 private:
  class FinishedRun final : public EngineRun {
   public:
    explicit FinishedRun(Result<std::vector<float>> result) : result_(std::move(result)) {}
    bool Ready() override { return true; }
    Result<std::vector<float>> Finish() override { return std::move(result_); }

   private:
    Result<std::vector<float>> result_;
  };

  static Result<std::unique_ptr<EngineRun>> Finished(Result<std::vector<float>> result) {
    return std::unique_ptr<EngineRun>(std::make_unique<FinishedRun>(std::move(result)));
  }
};

}  // namespace cosmos
