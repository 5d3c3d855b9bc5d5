// What the parts of the double of libcuda share. Everything is guarded by one lock.
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

// The driver's handles, which its header leaves incomplete.

// The primary context of a device.
struct CUctx_st {
  int physical = 0;
  std::string name;
  int major = 0;
  int minor = 0;
  std::size_t total_bytes = 0;
  std::size_t used_bytes = 0;
  bool retained = false;
  int sticky = 0;  // the error that every call answers, once one has poisoned the context
  CUstream default_stream = nullptr;
};

namespace fakes {

using Context = CUctx_st;

struct Work {
  std::string what;
  std::set<std::uint64_t> touches;  // first addresses of allocations; the module of a kernel
  std::function<void()> run;
};

// One cuEventRecord.
struct Record {
  CUstream stream = nullptr;
  bool done = false;
};

struct Item {
  Work work;
  std::shared_ptr<Record> records;    // set: reaching it completes this record
  std::shared_ptr<Record> waits_for;  // set: it cannot run before this record is done
  std::function<void()> host;         // of cuLaunchHostFunc
};

enum class Capture { kNone, kRunning, kBroken };

}  // namespace fakes

struct CUstream_st {
  fakes::Context* context = nullptr;
  std::deque<fakes::Item> items{};
  fakes::Capture capture = fakes::Capture::kNone;
  unsigned capture_mode = 0;  // 0 forbids calls of every thread, 1 those of the thread that captures, 2 none
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
  std::vector<std::unique_ptr<Context>> devices;  // those that are visible
  std::map<std::uint64_t, Allocation> memory;     // by first address
  std::set<CUstream> streams;                     // also destroyed ones with work left
  std::set<CUevent> events;
  std::map<const void*, Context*> others;  // modules, graphs, executable graphs
  std::map<std::string, int, std::less<>> calls;
  std::string errors;
  std::string errors_copy;
};

State& TheState();
Context*& Current();     // of this thread
bool& InHostFunction();  // whether this thread runs a function of cuLaunchHostFunc
int DriverVersion();

std::optional<CUresult> TakeFault(std::string_view name, Context* context);
CUresult Error(int number);
std::string_view ErrorName(int number);  // empty: there is none

// The allocation that holds [address, address + bytes), or null.
const std::pair<const std::uint64_t, Allocation>* Find(std::uint64_t address, std::size_t bytes);

// Null when the current context has no such stream.
CUstream FindStream(CUstream stream);
// Does what a call does that is not allowed while a stream is captured: 900, and the capture is broken.
// Nothing when this thread may call.
std::optional<CUresult> RefuseInCapture();
// Puts work on the stream, or into its capture.
CUresult Push(CUstream stream, Work work);
// Runs everything on the stream. The error that it met, if any.
CUresult Drain(CUstream stream);
// Runs up to and with the work that touches the allocation; whether there was any.
bool IsPending(std::uint64_t allocation, std::string* what);
void RunUntilUnused(std::uint64_t allocation);

enum class Needs { kNothing, kDriver, kContext };

// A call of the driver: faults, what it needs, then its body. `on_fault` runs before a fault is answered.
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
