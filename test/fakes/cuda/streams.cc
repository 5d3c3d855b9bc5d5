// Streams, whose work runs only when something waits for it, and events.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <utility>

#include "cuda/state.h"

namespace fakes {
namespace {

void CallHostFunction(const std::function<void()>& function) {
  InHostFunction() = true;
  function();
  InHostFunction() = false;
}

// Runs the next piece of work of `stream`, or of the stream that it waits for.
void Step(CUstream stream) {
  Item& first = stream->items.front();
  if (first.waits_for && !first.waits_for->done) {
    Step(first.waits_for->stream);
    return;
  }
  const Item item = std::move(first);
  stream->items.pop_front();
  if (item.work.run && stream->context->sticky == 0) {
    if (!TakeFault("run:" + item.work.what, stream->context)) item.work.run();
  }
  // The driver does not call it once the context has failed. But one that has begun goes on while waits fail
  // already, and so may any of these.
  if (item.host && stream->context->sticky == 0) {
    CallHostFunction(item.host);
  } else if (item.host) {
    TheState().begun.push_back(item.host);
  }
  if (item.records) item.records->done = true;
  if (stream->destroyed && stream->items.empty()) {
    TheState().streams.erase(stream);
    delete stream;
  }
}

bool Contains(const Item& item, std::uint64_t allocation) { return item.work.touches.contains(allocation); }

CUevent FindEvent(CUevent event) {
  return TheState().events.contains(event) && event->context == Current() ? event : nullptr;
}

// Drops queued work: a wait that fails reports that earlier work has failed, so it does not go on.
void Abandon(CUstream stream) {
  if (!stream) return;
  for (const Item& item : stream->items)
    if (item.records) item.records->done = true;
  stream->items.clear();
}

void AbandonStreamOf(CUevent event) {
  if (Current() && FindEvent(event) && event->last && !event->last->done) Abandon(event->last->stream);
}

bool HasHostFunction(const CUstream stream) {
  return std::ranges::any_of(stream->items, [](const Item& item) { return item.host != nullptr; });
}

// A device that proceeds by itself as far as a host function waits for it. Its thread is never joined: it
// lives as long as the process.
void RunDevice(std::condition_variable_any& launched) {
  std::unique_lock lock(TheState().mutex);
  for (;;) {
    const std::vector<CUstream> streams(TheState().streams.begin(), TheState().streams.end());
    bool waited_for = false;
    for (CUstream stream : streams) {
      if (!TheState().streams.contains(stream) || !HasHostFunction(stream)) continue;
      waited_for = true;
      Step(stream);
    }
    if (waited_for) {
      launched.wait_for(lock, std::chrono::microseconds(100));
    } else {
      launched.wait(lock);
    }
  }
}

// For calls that are forbidden on a stream that is being captured, whatever the thread.
CUresult BreakCapture(CUstream stream) {
  stream->capture = Capture::kBroken;
  return Error(900);
}

CUresult StickyError(const Context* context) { return Error(context->sticky); }

}  // namespace

CUstream FindStream(CUstream stream) {
  if (stream == nullptr) return Current()->default_stream;
  if (!TheState().streams.contains(stream) || stream->destroyed) return nullptr;
  return stream->context == Current() ? stream : nullptr;
}

bool IsCapturing(CUstream stream) {
  const std::lock_guard lock(TheState().mutex);
  const CUstream found = Current() ? FindStream(stream) : nullptr;
  return found && found->capture != Capture::kNone;
}

std::optional<CUresult> RejectInCapture() {
  std::optional<CUresult> rejected;
  for (CUstream stream : TheState().streams) {
    if (stream->context != Current() || stream->capture == Capture::kNone) continue;
    const bool forbidden =
        stream->capture_mode == 0 ||
        (stream->capture_mode == 1 && stream->capture_thread == std::this_thread::get_id());
    if (forbidden) rejected = BreakCapture(stream);
  }
  return rejected;
}

CUresult Push(CUstream stream, Work work) {
  if (stream->capture == Capture::kBroken) return Error(901);
  if (stream->capture == Capture::kRunning) {
    stream->captured.push_back(std::move(work));
  } else {
    stream->items.push_back({std::move(work), nullptr, nullptr, nullptr});
  }
  return CUDA_SUCCESS;
}

CUresult Enqueue(CUstream stream, std::string what, std::vector<std::uint64_t> touches,
                 std::function<void()> run) {
  const std::lock_guard lock(TheState().mutex);
  if (!Current()) return Error(201);
  if (Current()->sticky != 0) return StickyError(Current());
  stream = FindStream(stream);
  if (!stream) return Error(400);
  Work work{std::move(what), {}, std::move(run)};
  for (const std::uint64_t address : touches)
    if (const auto* found = Find(address, 1)) work.touches.insert(found->first);
  return Push(stream, std::move(work));
}

CUresult Drain(CUstream stream) {
  while (!stream->items.empty()) Step(stream);
  return StickyError(stream->context);
}

bool IsPending(std::uint64_t allocation, std::string* what) {
  for (const CUstream stream : TheState().streams) {
    for (const Item& item : stream->items) {
      if (!Contains(item, allocation)) continue;
      *what = item.work.what;
      return true;
    }
  }
  return false;
}

bool IsPendingElsewhere(CUdeviceptr address, CUstream stream) {
  const std::lock_guard lock(TheState().mutex);
  const auto* allocation = Find(address, 1);
  if (!allocation) return false;
  return std::ranges::any_of(TheState().streams, [&](const CUstream other) {
    return other != FindStream(stream) && std::ranges::any_of(other->items, [&](const Item& item) {
             return Contains(item, allocation->first);
           });
  });
}

void RunUntilUnused(std::uint64_t allocation) {
  const std::vector<CUstream> streams(TheState().streams.begin(), TheState().streams.end());
  for (CUstream stream : streams) {
    const auto uses = [&](const Item& item) { return Contains(item, allocation); };
    while (TheState().streams.contains(stream) &&
           std::any_of(stream->items.begin(), stream->items.end(), uses))
      Step(stream);
  }
}

FAKE_CUDA_API cuStreamCreate(CUstream* stream, unsigned flags) {
  return Call("cuStreamCreate", Needs::kContext, [&](State& state) {
    if (flags > 1) return Error(1);
    *stream = new CUstream_st{.context = Current()};
    state.streams.insert(*stream);
    return CUDA_SUCCESS;
  });
}

// Like the driver, destroys the handle but still runs queued work.
FAKE_CUDA_API cuStreamDestroy_v2(CUstream stream) {
  return Call("cuStreamDestroy_v2", Needs::kContext, [&](State& state) {
    if (!stream || !FindStream(stream)) {
      Misuse("a stream is destroyed that does not belong to this device");
      return Error(400);
    }
    stream->destroyed = true;
    stream->capture = Capture::kNone;
    if (stream->items.empty()) {
      state.streams.erase(stream);
      delete stream;
    }
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuStreamSynchronize(CUstream stream) {
  const auto synchronize = [&](State&) {
    CUstream found = FindStream(stream);
    if (!found) return Error(400);
    if (found->capture != Capture::kNone) return BreakCapture(found);
    return Drain(found);
  };
  return Call("cuStreamSynchronize", Needs::kContext, synchronize, [&] {
    if (Current()) Abandon(FindStream(stream));
  });
}

FAKE_CUDA_API cuLaunchHostFunc(CUstream stream, void (*function)(void*), void* data) {
  static std::condition_variable_any& launched = []() -> std::condition_variable_any& {
    auto* condition = new std::condition_variable_any;
    std::thread([condition] { RunDevice(*condition); }).detach();
    return *condition;
  }();
  return Call("cuLaunchHostFunc", Needs::kContext, [&](State&) {
    CUstream found = FindStream(stream);
    if (!found) return Error(400);
    if (function == nullptr) return Error(1);
    if (found->capture != Capture::kNone)
      return BreakCapture(found);  // a node of the graph, which is not modelled
    found->items.push_back({{"cuLaunchHostFunc", {}, {}}, nullptr, nullptr, [=] { function(data); }});
    launched.notify_one();
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return Call("cuStreamWaitEvent", Needs::kContext, [&](State& state) {
    CUstream found = FindStream(stream);
    // The event may belong to another device.
    if (!found || !state.events.contains(event)) return Error(400);
    if (flags != 0) return Error(1);
    if (found->capture != Capture::kNone) return BreakCapture(found);
    if (event->last && !event->last->done)
      found->items.push_back({{"cuStreamWaitEvent", {}, {}}, nullptr, event->last, nullptr});
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuEventCreate(CUevent* event, unsigned flags) {
  return Call("cuEventCreate", Needs::kContext, [&](State& state) {
    if (flags > 7) return Error(1);
    *event = new CUevent_st{.context = Current(), .last = nullptr};
    state.events.insert(*event);
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuEventDestroy_v2(CUevent event) {
  return Call("cuEventDestroy_v2", Needs::kContext, [&](State& state) {
    if (!FindEvent(event)) {
      Misuse("an event is destroyed that does not belong to this device");
      return Error(400);
    }
    state.events.erase(event);
    delete event;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuEventRecord(CUevent event, CUstream stream) {
  return Call("cuEventRecord", Needs::kContext, [&](State&) {
    CUstream found = FindStream(stream);
    if (!found || !FindEvent(event)) return Error(400);
    if (found->capture == Capture::kBroken) return Error(901);
    if (found->capture == Capture::kRunning) return CUDA_SUCCESS;  // records a node without effect
    event->last = std::make_shared<Record>(Record{found, false});
    found->items.push_back({{"cuEventRecord", {}, {}}, event->last, nullptr, nullptr});
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuEventQuery(CUevent event) {
  const auto query = [&](State&) {
    if (!FindEvent(event)) return Error(400);
    if (!event->last || event->last->done) return CUDA_SUCCESS;
    Step(event->last->stream);
    return Current()->sticky != 0 ? StickyError(Current()) : CUDA_ERROR_NOT_READY;
  };
  return Call("cuEventQuery", Needs::kContext, query, [&] { AbandonStreamOf(event); });
}

FAKE_CUDA_API cuEventSynchronize(CUevent event) {
  const auto synchronize = [&](State&) {
    if (!FindEvent(event)) return Error(400);
    if (const auto rejected = RejectInCapture()) return *rejected;
    while (event->last && !event->last->done) Step(event->last->stream);
    return StickyError(Current());
  };
  return Call("cuEventSynchronize", Needs::kContext, synchronize, [&] { AbandonStreamOf(event); });
}

int EndHostFunctions() {
  const std::lock_guard lock(TheState().mutex);
  const std::vector<CUstream> streams(TheState().streams.begin(), TheState().streams.end());
  for (CUstream stream : streams) {
    while (TheState().streams.contains(stream) && stream->context->sticky != 0 && HasHostFunction(stream))
      Step(stream);
  }
  const auto begun = std::exchange(TheState().begun, {});
  for (const auto& function : begun) CallHostFunction(function);
  return static_cast<int>(begun.size());
}

}  // namespace fakes

extern "C" int fake_cuda_end_host_functions() { return fakes::EndHostFunctions(); }
