// Internals of the fake libcuda. One lock guards all state.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cuda/fake_cuda.h"

// The driver's handle types, which its header leaves incomplete.

// The primary context of a device.
struct CUctx_st {
  int physical = 0;
  std::string name;
  int major = 0;
  int minor = 0;
  std::size_t total_bytes = 0;
  std::size_t used_bytes = 0;
  bool retained = false;
  int sticky = 0;  // the sticky error that every call returns; 0 if none
  CUstream default_stream = nullptr;
};

namespace fakes {

using Context = CUctx_st;

struct Work {
  std::string what;
  std::set<std::uint64_t> touches;  // first addresses of allocations, and the module of a kernel
  std::function<void()> run;
};

// One call of cuEventRecord.
struct Record {
  CUstream stream = nullptr;
  bool done = false;
};

struct Item {
  Work work;
  std::shared_ptr<Record> records;    // if set, running the item completes this record
  std::shared_ptr<Record> waits_for;  // if set, the item runs after this record is done
  std::function<void()> host;         // the function of cuLaunchHostFunc
};

enum class Capture { kNone, kRunning, kBroken };

}  // namespace fakes

struct CUstream_st {
  fakes::Context* context = nullptr;
  std::deque<fakes::Item> items{};
  fakes::Capture capture = fakes::Capture::kNone;
  unsigned capture_mode = 0;  // forbids unsafe calls of 0: all threads, 1: the capturing thread, 2: none
  std::thread::id capture_thread{};
  std::vector<fakes::Work> captured{};
  bool destroyed = false;
};

struct CUevent_st {
  fakes::Context* context = nullptr;
  std::shared_ptr<fakes::Record> last;
};

namespace fakes {

struct Allocation {
  std::size_t bytes = 0;
  Context* context = nullptr;
  bool pinned = false;
};

struct State {
  std::recursive_mutex mutex;
  bool initialised = false;
  std::vector<std::unique_ptr<Context>> devices;  // the visible ones
  std::map<std::uint64_t, Allocation> memory;     // by first address
  std::set<CUstream> streams;                     // including destroyed ones that have queued work
  std::set<CUevent> events;
  std::map<const void*, Context*> handles;   // modules, graphs, executable graphs
  std::vector<std::function<void()>> begun;  // host functions that have begun when their context failed
  std::map<std::string, int, std::less<>> calls;
  std::string errors;
  std::string errors_copy;
};

State& TheState();
Context*& Current();     // the context that is current on this thread
bool& InHostFunction();  // whether this thread runs a function of cuLaunchHostFunc
int DriverVersion();

std::optional<CUresult> TakeFault(std::string_view name, Context* context);
CUresult Error(int number);
std::string_view ErrorName(int number);  // "" for an unknown number

// The allocation that contains [address, address + bytes), or null.
const std::pair<const std::uint64_t, Allocation>* Find(std::uint64_t address, std::size_t bytes);

// The stream of the current context, its default stream for null; null if it has no such stream.
CUstream FindStream(CUstream stream);
// For calls that are unsafe during a capture. Breaks every capture that forbids them on this thread and
// returns the error 900; returns nullopt if there is none.
std::optional<CUresult> RejectInCapture();
// Queues work on the stream, or adds it to its capture.
CUresult Push(CUstream stream, Work work);
// Runs all work of the stream and returns the context's sticky error, if any.
CUresult Drain(CUstream stream);
// Whether queued work touches the allocation; `what` then names that work.
bool IsPending(std::uint64_t allocation, std::string* what);
// Runs queued work until none touches the allocation.
void RunUntilUnused(std::uint64_t allocation);

enum class Needs { kNothing, kDriver, kContext };

// A call of the driver: injects faults, checks what the call needs, then runs its body. `on_fault` runs
// before an injected fault is returned.
template <typename Body, typename OnFault = void (*)()>
CUresult Call(
    const char* symbol, Needs needs, Body body, OnFault on_fault = [] {}) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  ++state.calls.try_emplace(symbol, 0).first->second;
  if (InHostFunction()) Misuse(std::string("a host function calls ") + symbol);
  if (const auto fault = TakeFault(symbol, needs == Needs::kContext ? Current() : nullptr)) {
    on_fault();
    return *fault;
  }
  if (needs != Needs::kNothing && !state.initialised) return Error(3);
  if (needs == Needs::kContext) {
    if (!Current()) return Error(201);
    if (Current()->sticky != 0) return Error(Current()->sticky);
  }
  return body(state);
}

}  // namespace fakes

#define FAKE_CUDA_API extern "C" FAKE_CUDA_EXPORT CUresult
