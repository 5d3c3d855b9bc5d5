// Capturing a stream into a graph, and replaying it.
#include "cuda/state.h"

struct CUgraph_st {
  std::vector<fakes::Work> nodes;
};
struct CUgraphExec_st {
  std::vector<fakes::Work> nodes;
};

namespace fakes {
namespace {

constexpr unsigned kMaxCaptureMode = 2;

template <typename Handle>
CUresult Destroy(State& state, Handle* handle) {
  const auto found = state.handles.find(handle);
  if (found == state.handles.end() || found->second != Current()) {
    Misuse("a graph is destroyed that does not belong to this device");
    return Error(400);
  }
  state.handles.erase(found);
  delete handle;
  return CUDA_SUCCESS;
}

}  // namespace

FAKE_CUDA_API cuStreamBeginCapture_v2(CUstream stream, unsigned mode) {
  return Call("cuStreamBeginCapture_v2", Needs::kContext, [&](State&) {
    // The default stream cannot be captured.
    CUstream found = stream ? FindStream(stream) : nullptr;
    if (!found) return Error(stream ? 400 : 900);
    if (mode > kMaxCaptureMode) return Error(1);
    if (found->capture != Capture::kNone) return Error(401);
    found->capture = Capture::kRunning;
    found->capture_mode = mode;
    found->capture_thread = std::this_thread::get_id();
    found->captured.clear();
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuStreamEndCapture(CUstream stream, CUgraph_st** graph) {
  return Call("cuStreamEndCapture", Needs::kContext, [&](State& state) {
    CUstream found = FindStream(stream);
    if (!found) return Error(400);
    *graph = nullptr;
    const Capture was = found->capture;
    found->capture = Capture::kNone;
    if (was == Capture::kNone) return Error(401);
    if (was == Capture::kBroken) return Error(901);
    *graph = new CUgraph_st{std::move(found->captured)};
    found->captured.clear();
    state.handles[*graph] = Current();
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuGraphInstantiateWithFlags(CUgraphExec_st** executable, CUgraph_st* graph,
                                          unsigned long long) {
  return Call("cuGraphInstantiateWithFlags", Needs::kContext, [&](State& state) {
    if (!state.handles.contains(graph)) return Error(400);
    *executable = new CUgraphExec_st{graph->nodes};
    state.handles[*executable] = Current();
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuGraphLaunch(CUgraphExec_st* executable, CUstream stream) {
  return Call("cuGraphLaunch", Needs::kContext, [&](State& state) {
    CUstream found = FindStream(stream);
    if (!found || !state.handles.contains(executable)) return Error(400);
    for (const Work& work : executable->nodes) {
      // Valid when it was captured, but may have been freed since then.
      for (const std::uint64_t address : work.touches) {
        if (state.memory.contains(address) || state.handles.contains(reinterpret_cast<const void*>(address)))
          continue;
        Misuse("a graph is launched over memory or a module that is gone: " + work.what);
        return Error(1);
      }
      if (const CUresult result = Push(found, work); result != CUDA_SUCCESS) return result;
    }
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuGraphExecDestroy(CUgraphExec_st* executable) {
  return Call("cuGraphExecDestroy", Needs::kContext,
              [&](State& state) { return Destroy(state, executable); });
}

FAKE_CUDA_API cuGraphDestroy(CUgraph_st* graph) {
  return Call("cuGraphDestroy", Needs::kContext, [&](State& state) { return Destroy(state, graph); });
}

}  // namespace fakes
