#include "engine/executor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/guarded.h"

namespace cosmos {
namespace {

// Half precision keeps about three decimals, so the norm of a vector that a graph normalised in it differs
// from 1 by less than this.
constexpr double kHalfPrecisionSlack = 1e-2;
constexpr double kUnitTolerance = 1e-3;
// A failed device does not announce the end of its runs, so they are also queried at this interval.
constexpr std::chrono::milliseconds kHeartbeat{50};

std::size_t IndexOf(Tower tower) { return tower == Tower::kVideo ? 0 : 1; }

Status Cancelled() { return {StatusCode::kCancelled, "the encode job was cancelled"}; }

std::string Describe(const ClipShape& shape) {
  return std::to_string(shape.frames) + " frames of " + std::to_string(shape.width) + "x" +
         std::to_string(shape.height);
}

Status ValidateClips(std::span<const ClipPtr> clips, const ClipShape& expected, std::optional<int> device) {
  for (std::size_t i = 0; i < clips.size(); ++i) {
    if (clips[i]->shape() != expected) {
      return Status(StatusCode::kInvalidArgument, "clip " + std::to_string(i) + " has " +
                                                      Describe(clips[i]->shape()) + "; the model takes " +
                                                      Describe(expected))
          .With("index", static_cast<double>(i));
    }
    const DevicePixels* pixels = clips[i]->device_pixels();
    if (pixels && pixels->device() != device) {
      return Status(StatusCode::kInvalidArgument,
                    "clip " + std::to_string(i) + " lies in the memory of GPU " +
                        std::to_string(pixels->device()) +
                        (device ? "; the engine runs on GPU " + std::to_string(*device)
                                : std::string("; the engine runs on the CPU")))
          .With("index", static_cast<double>(i));
    }
  }
  return {};
}

Status ValidateRows(std::span<const TokenRow> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].empty()) continue;
    return Status(StatusCode::kInvalidArgument,
                  "token row " + std::to_string(i) + " is empty; a row holds at least one token")
        .With("index", static_cast<double>(i));
  }
  return {};
}

// Every row must be a unit vector: the graphs promise it and search relies on it. Rounding errors of half
// precision are corrected; a larger error means a broken graph or a broken device.
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

// A queued job. Cancelling its token completes it in place; the executor's thread removes it later, because
// the token's listener cannot free itself.
struct Executor::Pending {
  EncodeJob job;
  bool claimed = false;  // by the thread or by CompleteCancelled; guarded by the executor's mutex
  std::optional<CancelToken::Listener> listener;
};

// A running job, encoded in batches that the engine can take.
struct Executor::Active {
  EncodeJob job;
  std::size_t items = 0;
  std::size_t encoded = 0;  // items that have their vectors
  std::size_t batch = 0;    // items of the run in flight
  Result<std::unique_ptr<EngineRun>> run = std::unique_ptr<EngineRun>();
  std::vector<float> vectors;
};

Executor::Executor(std::unique_ptr<Engine> engine)
    : engine_(std::move(engine)),
      max_batch_{engine_->signature().max_video_batch, engine_->signature().max_text_batch},
      thread_([this] {
        engine_->SetWake(wake_);
        Loop();
      }) {}

Executor::~Executor() {
  std::vector<CancelTokenPtr> tokens;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& pending : queue_) {
      if (!pending->claimed) tokens.push_back(pending->job.cancel);
    }
    tokens.insert(tokens.end(), running_.begin(), running_.end());
  }
  for (const CancelTokenPtr& token : tokens) token->Cancel();
  wake_->Set();
  thread_.join();
}

void Executor::Submit(EncodeJob job) {
  auto pending = std::make_unique<Pending>();
  pending->job = std::move(job);
  // Registered before the thread can see the job: a token has one listener, and Begin frees it for the
  // engine.
  Pending& target = *pending;
  pending->listener.emplace(*pending->job.cancel, [this, &target] { CompleteCancelled(target); });
  {
    const std::lock_guard lock(mutex_);
    if (pending->claimed) return;
    queue_.push_back(std::move(pending));
  }
  wake_->Set();
}

void Executor::CompleteCancelled(Pending& pending) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(pending.claimed, true)) return;
  }
  pending.job.input = {};
  pending.job.done(Cancelled());
}

void Executor::Loop() {
  for (;;) {
    std::unique_ptr<Pending> next;
    {
      CancelledJobs cancelled;
      const std::lock_guard lock(mutex_);
      next = TakeNext(cancelled);
      if (!next && active_.empty() && closing_ && queue_.empty()) return;
    }
    const bool began = next != nullptr;
    if (began) Begin(std::move(next));
    const std::size_t ended = std::erase_if(active_, [this](Active& active) { return Advance(active); });
    if (began || ended > 0) continue;
    if (active_.empty()) {
      wake_->Wait();
    } else {
      wake_->WaitFor(kHeartbeat);
    }
  }
}

// Returns the oldest job whose tower has a free lane, marked as claimed, or null. Called with the mutex held.
// The caller must release it before destroying `cancelled`: listeners of those jobs may still run and need
// the mutex.
std::unique_ptr<Executor::Pending> Executor::TakeNext(CancelledJobs& cancelled) {
  for (auto pending = queue_.begin(); pending != queue_.end();) {
    if ((*pending)->claimed) {
      cancelled.push_back(std::move(*pending));
      pending = queue_.erase(pending);
      continue;
    }
    if (!HasFreeLane((*pending)->job.tower())) {
      ++pending;
      continue;
    }
    std::unique_ptr<Pending> next = std::move(*pending);
    queue_.erase(pending);
    next->claimed = true;
    running_.push_back(next->job.cancel);
    return next;
  }
  return nullptr;
}

bool Executor::HasFreeLane(Tower tower) const {
  const auto busy =
      std::ranges::count_if(active_, [tower](const Active& active) { return active.job.tower() == tower; });
  return busy < engine_->lanes(tower);
}

Status Executor::Validate(const EncodeJob& job) const {
  if (const auto* clips = std::get_if<std::vector<ClipPtr>>(&job.input)) {
    return ValidateClips(*clips, engine_->signature().clip, engine_->device());
  }
  return ValidateRows(std::get<std::vector<TokenRow>>(job.input));
}

void Executor::Begin(std::unique_ptr<Pending> pending) {
  pending->listener.reset();  // frees the token's one listener for the engine
  Active& active = active_.emplace_back();
  active.job = std::move(pending->job);
  active.items = std::visit([](const auto& items) { return items.size(); }, active.job.input);
  Status status = RunGuarded([&]() -> Status {
    COSMOS_RETURN_IF_ERROR(lost_.ok() ? Validate(active.job) : lost_);
    active.vectors.reserve(active.items * engine_->signature().embedding_dim);
    return {};
  });
  if (!status.ok()) {
    active.run = std::move(status);
  } else if (active.items > 0) {
    BeginBatch(active);
  }
}

void Executor::BeginBatch(Active& active) {
  const int max_batch = max_batch_[IndexOf(active.job.tower())];
  const std::size_t rest = active.items - active.encoded;
  active.batch = max_batch > 0 ? std::min<std::size_t>(max_batch, rest) : rest;
  active.run = RunGuarded([&]() -> Result<std::unique_ptr<EngineRun>> {
    CancelToken& cancel = *active.job.cancel;
    if (const auto* clips = std::get_if<std::vector<ClipPtr>>(&active.job.input)) {
      return engine_->BeginVideo(std::span(*clips).subspan(active.encoded, active.batch), cancel);
    }
    const auto& rows = std::get<std::vector<TokenRow>>(active.job.input);
    return engine_->BeginText(std::span(rows).subspan(active.encoded, active.batch), cancel);
  });
}

// Whether a batch that had too little memory is tried again in smaller ones. The first of a tower sets their
// size; the batch of another lane may have begun before that.
bool Executor::MayTakeLess(std::size_t tower, std::size_t batch) {
  if (!halved_[tower] && batch > 1) {
    halved_[tower] = true;
    max_batch_[tower] = static_cast<int>(batch / 2);
  }
  return halved_[tower] && batch > static_cast<std::size_t>(max_batch_[tower]);
}

// Collects a finished batch and begins the next. Returns whether the job has completed.
bool Executor::Advance(Active& active) {
  const std::size_t dim = engine_->signature().embedding_dim;
  while (active.encoded < active.items) {
    if (active.run.ok() && !active.run.value()->Ready()) return false;
    auto result = RunGuarded([&]() -> Result<std::vector<float>> {
      if (!active.run.ok()) return active.run.TakeStatus();
      return active.run.value()->Finish();
    });
    active.run = std::unique_ptr<EngineRun>();
    if (active.job.cancel->cancelled()) break;
    if (!result.ok()) {
      const std::size_t tower = IndexOf(active.job.tower());
      if (result.status().code() == StatusCode::kOutOfMemory && MayTakeLess(tower, active.batch)) {
        BeginBatch(active);
        continue;
      }
      if (result.status().code() == StatusCode::kDeviceLost) lost_ = result.status();
      Complete(active, std::move(result));
      return true;
    }
    if (result->size() != active.batch * dim) {
      Complete(active, Status(StatusCode::kInternal, "the engine returned " + std::to_string(result->size()) +
                                                         " floats for " + std::to_string(active.batch) +
                                                         " vectors of " + std::to_string(dim)));
      return true;
    }
    active.vectors.insert(active.vectors.end(), result->begin(), result->end());
    active.encoded += active.batch;
    if (active.encoded < active.items) BeginBatch(active);
  }
  if (active.job.cancel->cancelled()) {
    Complete(active, Cancelled());
  } else if (Status status = CheckNorms(active.vectors, static_cast<int>(dim)); !status.ok()) {
    Complete(active, std::move(status));
  } else {
    Complete(active, std::move(active.vectors));
  }
  return true;
}

void Executor::Complete(Active& active, Result<std::vector<float>> result) {
  {
    const std::lock_guard lock(mutex_);
    running_.erase(std::ranges::find(running_, active.job.cancel));
  }
  active.job.input = {};
  active.job.done(std::move(result));
}

}  // namespace cosmos
