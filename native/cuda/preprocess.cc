#include "cuda/preprocess.h"

#include <algorithm>
#include <string>

#include "cuda/preprocess_kernel.h"
#include "cuda/preprocess_ptx.h"
#include "image/resize_filter.h"

namespace cosmos::cuda {
namespace {

// Each takes about 30 KB.
constexpr std::size_t kMaxFilters = 64;
constexpr std::array<unsigned, 2> kBlock = {kBlockX, kBlockY};

unsigned Blocks(int size, int block) { return static_cast<unsigned>((size + block - 1) / block); }

// The size of a picture after its orientation is applied.
std::pair<int, int> DisplaySize(const DevicePicture& picture) {
  if (picture.orientation.transpose) return {picture.height, picture.width};
  return {picture.width, picture.height};
}

// Whether one kernel launch can process both.
bool CanShareLaunch(const DevicePicture& a, const DevicePicture& b) {
  return a.orientation.transpose == b.orientation.transpose && DisplaySize(a) == DisplaySize(b);
}

PictureParameters ParametersOf(const DevicePicture& picture, CUdeviceptr target) {
  return {.luma = picture.luma,
          .cb = picture.cb,
          .cr = picture.cr,
          .target = target,
          .width = picture.width,
          .height = picture.height,
          .luma_pitch = picture.luma_pitch,
          .chroma_pitch = picture.chroma_pitch,
          .chroma_step = picture.chroma_step,
          .bytes_per_sample = picture.bit_depth > 8 ? 2 : 1,
          .chroma_420 = picture.chroma_420,
          .flip_x = picture.orientation.flip_x,
          .flip_y = picture.orientation.flip_y,
          .y_offset = picture.matrix.y_offset,
          .y_scale = picture.matrix.y_scale,
          .cr_to_r = picture.matrix.cr_to_r,
          .cr_to_g = picture.matrix.cr_to_g,
          .cb_to_g = picture.matrix.cb_to_g,
          .cb_to_b = picture.matrix.cb_to_b};
}

}  // namespace

struct Preprocessor::DeviceFilter {
  DeviceBuffer memory;
  FilterParameters parameters;
};

Result<std::shared_ptr<Preprocessor>> Preprocessor::Load(const Device& device) {
  const std::string doing = "the preprocessing kernels cannot be loaded on GPU " +
                            std::to_string(device.info().ordinal) + " (" + device.info().name + ")";
  const auto check = [&](CUresult result) { return device.Check(result, doing, StatusCode::kLibrary); };
  COSMOS_RETURN_IF_ERROR(device.MakeCurrent());
  std::array<char, 1024> log{};
  std::array names = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  // The driver takes numeric option values as pointers.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  std::array<void*, 2> values = {log.data(), reinterpret_cast<void*>(log.size())};
  CUmodule handle = nullptr;
  if (Status status = check(
          device.api().ModuleLoadDataEx(&handle, kPreprocessPtx, names.size(), names.data(), values.data()));
      !status.ok()) {
    return log[0] == '\0' ? std::move(status) : std::move(status).With("log", std::string(log.data()));
  }
  Module module(device, handle);
  COSMOS_ASSIGN_OR_RETURN(auto uploads, MakeStream(device));
  std::shared_ptr<Preprocessor> made(new Preprocessor(device, std::move(module), std::move(uploads)));
  COSMOS_RETURN_IF_ERROR(check(device.api().ModuleGetFunction(&made->rows_, handle, "cosmos_resize_rows")));
  COSMOS_RETURN_IF_ERROR(
      check(device.api().ModuleGetFunction(&made->columns_, handle, "cosmos_resize_columns")));
  COSMOS_RETURN_IF_ERROR(check(device.api().ModuleGetFunction(&made->tao_, handle, "cosmos_to_tao")));
  return made;
}

Result<std::shared_ptr<const Preprocessor::DeviceFilter>> Preprocessor::FilterFor(int in_size, int out_size,
                                                                                  BufferPool& pool) {
  const std::pair key{in_size, out_size};
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(filters_.begin(), filters_.end(), [&](const auto& entry) { return entry.first == key; });
  if (found != filters_.end()) {
    filters_.splice(filters_.begin(), filters_, found);
    return found->second;
  }
  auto table = Upload(in_size, out_size, pool);
  if (!table.ok()) return table;
  filters_.emplace_front(key, table.value());
  if (filters_.size() > kMaxFilters) filters_.pop_back();
  return table;
}

// Waits for the copy, so that every stream may read the filter afterwards.
Result<std::shared_ptr<const Preprocessor::DeviceFilter>> Preprocessor::Upload(int in_size, int out_size,
                                                                               BufferPool& pool) {
  const ResizeFilter filter = TriangleFilter(in_size, out_size);
  std::vector<std::int32_t> packed(filter.first);
  packed.insert(packed.end(), filter.count.begin(), filter.count.end());
  packed.insert(packed.end(), filter.weights.begin(), filter.weights.end());
  const std::size_t bytes = packed.size() * sizeof(std::int32_t);
  COSMOS_ASSIGN_OR_RETURN(auto memory, pool.Allocate(bytes));
  const std::string doing = "the weights of a resize cannot be copied to the GPU";
  const CUresult copied =
      device_.api().MemcpyHtoDAsync(memory.address(), packed.data(), bytes, uploads_.get());
  const CUresult waited = device_.api().StreamSynchronize(uploads_.get());
  COSMOS_RETURN_IF_ERROR(device_.Check(copied, doing));
  COSMOS_RETURN_IF_ERROR(device_.Check(waited, doing));
  const CUdeviceptr first = memory.address();
  const CUdeviceptr count = first + filter.first.size() * sizeof(std::int32_t);
  const CUdeviceptr weights = count + filter.count.size() * sizeof(std::int32_t);
  return std::make_shared<const DeviceFilter>(DeviceFilter{
      std::move(memory), {.first = first, .count = count, .weights = weights, .taps = filter.taps}});
}

Status Preprocessor::Launch(CUfunction kernel, const std::array<unsigned, 3>& grid,
                            const std::array<unsigned, 2>& block, void* parameters, CUstream stream) const {
  std::array<void*, 1> list = {parameters};
  return device_.Check(device_.api().LaunchKernel(kernel, grid[0], grid[1], grid[2], block[0], block[1], 1, 0,
                                                  stream, list.data(), nullptr),
                       "a preprocessing kernel cannot be launched");
}

Status Preprocessor::Resize(std::span<const DevicePicture> pictures, std::span<const CUdeviceptr> targets,
                            int width, int height, BufferPool& pool, CUstream stream, InUse& in_use) {
  const auto [source_width, source_height] = DisplaySize(pictures.front());
  COSMOS_ASSIGN_OR_RETURN(auto columns, FilterFor(source_width, width, pool));
  in_use.push_back(columns);
  COSMOS_ASSIGN_OR_RETURN(auto rows, FilterFor(source_height, height, pool));
  in_use.push_back(rows);
  COSMOS_ASSIGN_OR_RETURN(auto scratch, pool.Take(std::size_t{3} * width * source_height * pictures.size()));
  in_use.push_back(scratch);

  ResizeParameters parameters{.rows = scratch->address(),
                              .filter = columns->parameters,
                              .width = width,
                              .height = height,
                              .source_width = source_width,
                              .source_height = source_height,
                              .transpose = pictures.front().orientation.transpose,
                              .pictures = {}};
  for (std::size_t i = 0; i < pictures.size(); ++i)
    parameters.pictures[i] = ParametersOf(pictures[i], targets[i]);
  const auto count = static_cast<unsigned>(pictures.size());
  const std::pair lines =
      parameters.transpose ? std::pair{source_height, width} : std::pair{width, source_height};
  COSMOS_RETURN_IF_ERROR(Launch(rows_, {Blocks(lines.first, kBlockX), Blocks(lines.second, kBlockY), count},
                                kBlock, &parameters, stream));
  parameters.filter = rows->parameters;
  return Launch(columns_, {Blocks(width, kBlockX), Blocks(height, kBlockY), 3 * count}, kBlock, &parameters,
                stream);
}

Result<std::shared_ptr<const void>> Preprocessor::ToPlanar(std::span<const DevicePicture> pictures,
                                                           std::span<const CUdeviceptr> targets, int width,
                                                           int height, BufferPool& pool, CUstream stream) {
  COSMOS_RETURN_IF_ERROR(device_.MakeCurrent());
  auto in_use = std::make_shared<InUse>();
  while (!pictures.empty()) {
    std::size_t count = 1;
    while (count < pictures.size() && count < kMaxPictures &&
           CanShareLaunch(pictures[count], pictures.front()))
      ++count;
    if (Status status =
            Resize(pictures.first(count), targets.first(count), width, height, pool, stream, *in_use);
        !status.ok()) {
      // Kernels that are already queued use memory that is about to return to the pool.
      device_.api().StreamSynchronize(stream);
      return status;
    }
    pictures = pictures.subspan(count);
    targets = targets.subspan(count);
  }
  return std::shared_ptr<const void>(std::move(in_use));
}

Status Preprocessor::ToTao(CUdeviceptr clip, CUdeviceptr out, int frames, int height, int width,
                           CUstream stream) const {
  constexpr int kThreads = kBlockX * kBlockY;
  COSMOS_RETURN_IF_ERROR(device_.MakeCurrent());
  TaoParameters parameters{.clip = clip, .out = out, .frames = frames, .plane = height * width};
  return Launch(tao_, {Blocks(parameters.plane, kThreads), static_cast<unsigned>(frames), 3}, {kThreads, 1},
                &parameters, stream);
}

}  // namespace cosmos::cuda
