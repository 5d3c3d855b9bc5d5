// Modules and kernel launches. PTX is parsed for its version, target and entries; a kernel runs as the host
// build of its source.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/kernels.h"
#include "cuda/ptx.h"
#include "cuda/state.h"

struct CUfunc_st {
  const fakes::HostKernel* kernel = nullptr;
  std::vector<std::size_t> parameters;  // bytes of each, as the PTX declares them
  CUmodule module = nullptr;
};

struct CUmod_st {
  std::string ptx;
  std::map<std::string, CUfunc_st, std::less<>> functions;
};

namespace fakes {
namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxGridYz = 65535;
constexpr std::size_t kMaxParameterBytes = 4096;

// Splits PTX into words without comments. Brackets, commas and semicolons are words of their own.
std::vector<std::string> Words(std::string_view ptx) {
  std::vector<std::string> words;
  bool open = false;  // the last word is not complete
  for (std::size_t i = 0; i < ptx.size(); ++i) {
    if (ptx.substr(i, 2) == "//") i = std::min(ptx.find('\n', i), ptx.size() - 1);
    const char letter = ptx[i];
    const bool alone = std::string_view("()[],;").find(letter) != std::string_view::npos;
    if (std::isspace(static_cast<unsigned char>(letter)) || alone) {
      if (alone) words.emplace_back(1, letter);
      open = false;
      continue;
    }
    if (!open) words.emplace_back();
    words.back() += letter;
    open = true;
  }
  return words;
}

// The word after `word`, or "".
std::string After(const std::vector<std::string>& words, std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  return found == words.end() || found + 1 == words.end() ? "" : *(found + 1);
}

int Number(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The entries and their parameter sizes, declared as ".param .align 8 .b8 name[16]" or ".param .u64 name".
std::map<std::string, CUfunc_st, std::less<>> ReadEntries(const std::vector<std::string>& words) {
  std::map<std::string, CUfunc_st, std::less<>> functions;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word != ".entry") continue;
    CUfunc_st& function = functions[*++word];
    for (++word; word != words.end() && *word != ")"; ++word) {
      if (*word == "[") {
        function.parameters.back() *= static_cast<std::size_t>(Number(*(word + 1)));
      } else if (word->size() > 2 && word->front() == '.' && std::isdigit(word->back())) {
        function.parameters.push_back(static_cast<std::size_t>(Number(word->substr(2))) / 8);
      }
    }
  }
  return functions;
}

void Explain(unsigned options, const CUjit_option* names, void** values, const std::string& text) {
  char* log = nullptr;
  std::size_t bytes = 0;
  for (unsigned i = 0; i < options; ++i) {
    if (names[i] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char*>(values[i]);
    if (names[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) bytes = reinterpret_cast<std::size_t>(values[i]);
  }
  if (log && bytes > 0) std::snprintf(log, bytes, "%s", text.c_str());
}

// PTX 7.x belongs to CUDA 11, 8.x to 12, 9.x to 13; the minor numbers nearly agree.
bool TooNew(int major, int minor) {
  const int version = DriverVersion();
  const int newest_major = version / 1000 - 4;
  const int newest_minor = version % 1000 / 10;
  return major > newest_major || (major == newest_major && minor > newest_minor);
}

CUresult Load(CUmodule* module, const std::string& ptx, std::string* why) {
  const std::vector<std::string> words = Words(ptx);
  const std::string version = After(words, ".version");
  const std::string target = After(words, ".target");
  const std::size_t dot = version.find('.');
  if (dot == std::string::npos || !target.starts_with("sm_")) {
    *why = "ptxas fatal: this is no PTX";
    return Error(218);
  }
  if (TooNew(Number(version), Number(version.substr(dot + 1)))) {
    *why = "ptxas fatal: unsupported .version " + version;
    return Error(222);
  }
  if (Number(target.substr(3)) > Current()->major * 10 + Current()->minor) return Error(209);
  *module = new CUmod_st{ptx, ReadEntries(words)};
  TheState().handles[*module] = Current();
  for (auto& [name, function] : (*module)->functions) {
    function.module = *module;
    for (const HostKernel& kernel : HostKernels())
      if (kernel.name == name) function.kernel = &kernel;
    if (function.kernel && function.kernel->parameters != function.parameters)
      Misuse("the kernel " + name + " has other parameters in the PTX than in its source");
  }
  return CUDA_SUCCESS;
}

std::uint64_t HandleAddress(CUmodule module) { return reinterpret_cast<std::uint64_t>(module); }

// The allocations that the kernel may touch: those that any address in its parameters points into.
std::set<std::uint64_t> Touches(const std::vector<std::vector<std::byte>>& parameters) {
  std::set<std::uint64_t> touches;
  for (const auto& parameter : parameters) {
    for (std::size_t at = 0; at + sizeof(std::uint64_t) <= parameter.size(); at += sizeof(std::uint64_t)) {
      std::uint64_t value = 0;
      std::memcpy(&value, parameter.data() + at, sizeof(value));
      if (const auto* found = Find(value, 1)) touches.insert(found->first);
    }
  }
  return touches;
}

}  // namespace

FAKE_CUDA_API cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned options, CUjit_option* names,
                                 void** values) {
  return Call("cuModuleLoadDataEx", Needs::kContext, [&](State&) {
    if (const auto rejected = RejectInCapture()) return *rejected;
    std::string why;
    const CUresult result = Load(module, static_cast<const char*>(image), &why);
    if (result != CUDA_SUCCESS) Explain(options, names, values, why);
    return result;
  });
}

FAKE_CUDA_API cuModuleUnload(CUmodule module) {
  return Call("cuModuleUnload", Needs::kContext, [&](State& state) {
    if (!state.handles.contains(module)) return Error(400);
    if (std::string what; IsPending(HandleAddress(module), &what))
      Misuse("a module is unloaded while its kernel is pending: " + what);
    state.handles.erase(module);
    delete module;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return Call("cuModuleGetFunction", Needs::kContext, [&](State& state) {
    if (!state.handles.contains(module)) return Error(400);
    const auto found = module->functions.find(name);
    if (found == module->functions.end() || !found->second.kernel) return Error(500);
    *function = &found->second;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                             unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                             CUstream stream, void** parameters, void** extra) {
  return Call("cuLaunchKernel", Needs::kContext, [&](State& state) {
    const auto module = state.handles.find(function->module);
    if (module == state.handles.end() || module->second != Current()) return Error(400);
    const Dims grid{grid_x, grid_y, grid_z};
    const Dims block{block_x, block_y, block_z};
    const auto is_zero = [](unsigned size) { return size == 0; };
    if (std::any_of(grid.begin(), grid.end(), is_zero) || std::any_of(block.begin(), block.end(), is_zero) ||
        block_x * block_y * block_z > kMaxThreads || block_z > 64 || grid_y > kMaxGridYz ||
        grid_z > kMaxGridYz || shared_bytes != 0 || extra != nullptr)
      return Error(1);
    std::vector<std::vector<std::byte>> copies;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < function->parameters.size(); ++i) {
      const auto* first = static_cast<const std::byte*>(parameters[i]);
      copies.emplace_back(first, first + function->parameters[i]);
      bytes += function->parameters[i];
    }
    if (bytes > kMaxParameterBytes) return Error(1);
    CUstream found = FindStream(stream);
    if (!found) return Error(400);
    Work work{std::string(function->kernel->name), Touches(copies), {}};
    work.touches.insert(HandleAddress(function->module));
    const bool interpret = std::getenv("COSMOS_FAKE_CUDA_INTERPRET") != nullptr;
    work.run = [kernel = function->kernel, ptx = interpret ? function->module->ptx : "", grid, block,
                copies = std::move(copies)]() mutable {
      if (!ptx.empty()) return Interpret(ptx, kernel->name, grid, block, copies.at(0).data());
      std::vector<void*> pointers;
      for (auto& copy : copies) pointers.push_back(copy.data());
      kernel->launch(grid, block, pointers.data());
    };
    return Push(found, std::move(work));
  });
}

}  // namespace fakes
