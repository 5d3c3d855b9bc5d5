#include "engine/executor.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace cosmos {
namespace {

// Half precision keeps about three decimals, so a vector that a graph normalised in it misses 1 by less than
// this.
constexpr double kHalfPrecisionSlack = 1e-2;
constexpr double kUnitTolerance = 1e-3;

Status Cancelled() { return {StatusCode::kCancelled, "the encode job was cancelled"}; }

std::string Describe(const ClipShape& shape) {
  return std::to_string(shape.frames) + " frames of " + std::to_string(shape.width) + "x" +
         std::to_string(shape.height);
}

Status Validate(std::span<const ClipPtr> clips, const ClipShape& expected) {
  for (std::size_t i = 0; i < clips.size(); ++i) {
    if (clips[i]->shape() == expected) continue;
    return Status(StatusCode::kInvalidArgument, "clip " + std::to_string(i) + " has " +
                                                    Describe(clips[i]->shape()) + "; the model takes " +
                                                    Describe(expected))
        .With("index", static_cast<double>(i));
  }
  return {};
}

Status Validate(std::span<const TokenRow> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].empty()) continue;
    return Status(StatusCode::kInvalidArgument,
                  "token row " + std::to_string(i) + " is empty; a row holds at least one token")
        .With("index", static_cast<double>(i));
  }
  return {};
}

// Every row must be a unit vector: that is what the graphs promise, and search is wrong without it. What half
// precision rounded away is repaired, what is worse means a broken graph or a broken device.
Status CheckNorms(std::vector<float>& vectors, int dim) {
  for (std::size_t begin = 0; begin < vectors.size(); begin += dim) {
    const std::span row(vectors.data() + begin, dim);
    double squares = 0;
    for (const float value : row) squares += static_cast<double>(value) * value;
    const double norm = std::sqrt(squares);
    const double error = std::abs(norm - 1);
    if (error <= kUnitTolerance) continue;
    if (!(error <= kHalfPrecisionSlack)) {  // also when it is NaN
      const auto index = begin / dim;
      return Status(StatusCode::kEngine, "the engine's vector " + std::to_string(index) + " has the norm " +
                                             std::to_string(norm) + "; a unit vector was expected")
          .With("index", static_cast<double>(index))
          .With("norm", std::to_string(norm));
    }
    for (float& value : row) value = static_cast<float>(value / norm);
  }
  return {};
}

}  // namespace

// A job in the queue. Cancelling its token empties it where it stands, for the thread to throw away later:
// the token's listener cannot free itself.
struct Executor::Pending {
  EncodeJob job;
  bool taken = false;  // by the thread or by Drop; guarded by the executor's mutex
  std::optional<CancelToken::Listener> listener;
};

Executor::Executor(std::unique_ptr<Engine> engine)
    : engine_(std::move(engine)), thread_([this] { Work(); }) {}

Executor::~Executor() {
  std::vector<CancelTokenPtr> tokens;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& pending : queue_) {
      if (!pending->taken) tokens.push_back(pending->job.cancel);
    }
    if (running_) tokens.push_back(running_);
  }
  for (const CancelTokenPtr& token : tokens) token->Cancel();
  wake_.notify_one();
  thread_.join();
}

void Executor::Submit(EncodeJob job) {
  auto pending = std::make_unique<Pending>();
  pending->job = std::move(job);
  // Before the thread can see the job, because the engine will want the token's one listener.
  Pending& target = *pending;
  pending->listener.emplace(*pending->job.cancel, [this, &target] { Drop(target); });
  {
    const std::lock_guard lock(mutex_);
    if (pending->taken) return;
    queue_.push_back(std::move(pending));
  }
  wake_.notify_one();
}

void Executor::Drop(Pending& pending) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(pending.taken, true)) return;
  }
  pending.job.input = {};
  pending.job.done(Cancelled());
}

void Executor::Work() {
  for (;;) {
    std::unique_ptr<Pending> pending;
    bool dropped = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      pending = std::move(queue_.front());
      queue_.pop_front();
      dropped = std::exchange(pending->taken, true);
      if (!dropped) running_ = pending->job.cancel;
    }
    pending->listener.reset();
    if (dropped) continue;

    Result<std::vector<float>> result = Run(pending->job);
    {
      const std::lock_guard lock(mutex_);
      running_ = nullptr;
    }
    pending->job.done(std::move(result));
  }
}

Result<std::vector<float>> Executor::Run(const EncodeJob& job) {
  const EngineSignature& model = engine_->signature();
  if (const auto* clips = std::get_if<std::vector<ClipPtr>>(&job.input)) {
    COSMOS_RETURN_IF_ERROR(Validate(*clips, model.clip));
    return RunInBatches(*clips, model.max_video_batch, *job.cancel);
  }
  const auto& rows = std::get<std::vector<TokenRow>>(job.input);
  COSMOS_RETURN_IF_ERROR(Validate(rows));
  return RunInBatches(rows, model.max_text_batch, *job.cancel);
}

template <typename Item>
Result<std::vector<float>> Executor::RunInBatches(const std::vector<Item>& items, int max_batch,
                                                  CancelToken& cancel) {
  const std::size_t dim = engine_->signature().embedding_dim;
  const std::size_t batch = max_batch > 0 ? max_batch : items.size();
  std::vector<float> vectors;
  vectors.reserve(items.size() * dim);
  for (std::span<const Item> rest(items); !rest.empty() && !cancel.cancelled();) {
    const auto part = rest.first(std::min(batch, rest.size()));
    rest = rest.subspan(part.size());
    Result<std::vector<float>> result = [&] {
      if constexpr (std::is_same_v<Item, ClipPtr>) {
        return engine_->EncodeVideo(part, cancel);
      } else {
        return engine_->EncodeText(part, cancel);
      }
    }();
    if (!result.ok()) return result;
    if (result->size() != part.size() * dim) {
      return Status(StatusCode::kInternal, "the engine returned " + std::to_string(result->size()) +
                                               " floats for " + std::to_string(part.size()) + " vectors of " +
                                               std::to_string(dim));
    }
    vectors.insert(vectors.end(), result->begin(), result->end());
  }
  if (cancel.cancelled()) return Cancelled();
  COSMOS_RETURN_IF_ERROR(CheckNorms(vectors, static_cast<int>(dim)));
  return vectors;
}

}  // namespace cosmos
