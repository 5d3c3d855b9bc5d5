#include "napi/gpu.h"

#include <string>
#include <utility>

#include "cuda/driver.h"
#include "napi/error.h"
#include "tensorrt/library.h"

namespace cosmos {
namespace {

constexpr int kMaxDevice = 1023;
constexpr int kMaxWorkers = 256;

std::string ReadLibrary(const Arg& libraries, const char* name) {
  if (!libraries.present()) return {};
  const Arg path = libraries[name];
  if (!path.present()) return {};
  std::string text = path.String();
  if (!text.starts_with('/')) path.Fail("an absolute path");
  return text;
}

GpuOptions ReadGpuOptions(const Arg& options) {
  GpuOptions read;
  read.device = options["device"].Int(0, kMaxDevice);
  const Arg libraries = options["libraries"];
  read.cuda_library = ReadLibrary(libraries, "cuda");
  read.nvcuvid_library = ReadLibrary(libraries, "nvcuvid");
  if (const Arg a = options["nvdec"]; a.present()) {
    const std::string nvdec = a.String();
    if (nvdec != "auto" && nvdec != "never") a.Fail(R"("auto" or "never")");
    read.nvdec = nvdec == "auto";
  }
  if (const Arg a = options["nvdecWorkers"]; a.present()) read.nvdec_workers = a.Int(0, kMaxWorkers);
  if (const Arg a = options["cpuWorkers"]; a.present()) read.cpu_workers = a.Int(0, kMaxWorkers);
  return read;
}

Napi::Object ToValue(Napi::Env env, const cuda::DeviceInfo& device) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("device", device.ordinal);
  object.Set("name", device.name);
  object.Set("uuid", device.uuid);
  object.Set("computeCapability", device.compute_capability());
  object.Set("memoryBytes", static_cast<double>(device.total_bytes));
  return object;
}

Napi::Object ToValue(Napi::Env env, const NvdecCapability& capability) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("codec", capability.codec);
  object.Set("chroma", capability.chroma);
  object.Set("bitDepth", capability.bit_depth);
  object.Set("supported", capability.supported);
  object.Set("maxWidth", capability.max_width);
  object.Set("maxHeight", capability.max_height);
  object.Set("engines", capability.engines);
  return object;
}

Napi::Object ToInfo(Napi::Env env, const Gpu& gpu) {
  Napi::Object info = ToValue(env, gpu.device().info());
  info.Set("driver", gpu.device().driver().version_text());
  const auto memory = gpu.device().MemoryInfo();
  info.Set("freeBytes", memory.ok() ? static_cast<double>(memory.value().first) : 0.0);
  info.Set("nvdecReason", gpu.nvdec_reason());
  info.Set("nvdecEngines", gpu.nvdec_engines());
  info.Set("nvdecWorkers", gpu.nvdec_workers());
  const std::vector<NvdecCapability> capabilities = gpu.capabilities();
  const auto nvdec = Napi::Array::New(env, capabilities.size());
  for (std::uint32_t i = 0; i < capabilities.size(); ++i) nvdec.Set(i, ToValue(env, capabilities[i]));
  info.Set("nvdec", nvdec);
  info.Freeze();
  return info;
}

Napi::Value GpuToValue(Napi::Env env, std::shared_ptr<Gpu>&& gpu) {
  return NativeGpu::New(env, std::move(gpu));
}

Result<std::shared_ptr<Gpu>> Open(const GpuOptions& options) {
  auto gpu = Gpu::Open(options);
  // Queried on this thread, so that ToInfo finds the answers cached and does not call the driver.
  if (gpu.ok()) gpu.value()->capabilities();
  return gpu;
}

Napi::Value TensorRtToValue(Napi::Env env, TensorRtProbe&& found) {
  Napi::Object probe = Napi::Object::New(env);
  probe.Set("version", found.version);
  probe.Set("lean", found.lean);
  return probe;
}

struct GpuProbe {
  const cuda::Driver* driver = nullptr;
  std::vector<cuda::DeviceInfo> devices;
};

Result<GpuProbe> ProbeDriver(const std::string& library) {
  const auto driver = cuda::Driver::Open(library);
  if (!driver.ok()) return driver.status();
  GpuProbe probe{.driver = driver.value(), .devices = {}};
  for (int i = 0; i < probe.driver->device_count(); ++i) {
    COSMOS_ASSIGN_OR_RETURN(auto device, cuda::DescribeDevice(*probe.driver, i));
    probe.devices.push_back(std::move(device));
  }
  return probe;
}

Napi::Value ProbeToValue(Napi::Env env, GpuProbe&& found) {
  Napi::Object driver = Napi::Object::New(env);
  driver.Set("version", found.driver->version_text());
  driver.Set("library", found.driver->library());
  const auto devices = Napi::Array::New(env, found.devices.size());
  for (std::uint32_t i = 0; i < found.devices.size(); ++i) devices.Set(i, ToValue(env, found.devices[i]));
  Napi::Object probe = Napi::Object::New(env);
  probe.Set("driver", driver);
  probe.Set("devices", devices);
  return probe;
}

}  // namespace

std::vector<Napi::ClassPropertyDescriptor<NativeGpu>> NativeGpu::Members() {
  return {
      InstanceMethod<&NativeGpu::Stats>("stats"),
      InstanceMethod<&NativeGpu::Close>("close"),
  };
}

NativeGpu::NativeGpu(const Napi::CallbackInfo& info)
    : Wrapped(info), queue_(Environment::Of(info.Env()).queue()) {
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("info", ToInfo(info.Env(), *payload_), napi_enumerable));
}

std::shared_ptr<Gpu> NativeGpu::From(const Arg& arg) {
  if (!Is(arg.value())) arg.Fail("a NativeGpu");
  std::shared_ptr<Gpu> gpu = Unwrap(arg.value().As<Napi::Object>())->payload_;
  if (!gpu) arg.Fail("a NativeGpu that is open", "one that was closed");
  return gpu;
}

Napi::Value NativeGpu::Stats(const Napi::CallbackInfo& info) {
  if (!payload_) ThrowInvalid(info.Env(), kName, "it was closed and cannot be used any more");
  const GpuStats stats = payload_->stats();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("nvdec", static_cast<double>(stats.nvdec));
  object.Set("software", static_cast<double>(stats.software));
  object.Set("nvdecRunning", stats.nvdec_running);
  object.Set("nvdecWaiting", stats.nvdec_waiting);
  object.Set("decodersCreated", static_cast<double>(stats.decoders_created));
  object.Set("decodersReused", static_cast<double>(stats.decoders_reused));
  object.Set("decodersReconfigured", static_cast<double>(stats.decoders_reconfigured));
  object.Set("lost", stats.lost);
  return object;
}

void NativeGpu::Close(const Napi::CallbackInfo& /*info*/) {
  queue_->DestroyInBackground(std::move(payload_));
}

Napi::Value OpenGpu(const Napi::CallbackInfo& info) {
  const GpuOptions options = ReadGpuOptions(Arg(info[0], "options"));
  return RunOnPool(info.Env(), {},
                   [options](const CancelTokenPtr&) {
                     return ToOutcome<std::shared_ptr<Gpu>>(Open(options), GpuToValue);
                   })
      .handle;
}

Napi::Value ProbeTensorRt(const Napi::CallbackInfo& info) {
  const Arg library(info[0], "library");
  const std::string path = library.String();
  if (!path.starts_with('/')) library.Fail("an absolute path");
  return RunOnPool(info.Env(), {},
                   [path](const CancelTokenPtr&) {
                     return ToOutcome<TensorRtProbe>(ProbeTensorRt(path), TensorRtToValue);
                   })
      .handle;
}

Napi::Value ProbeGpu(const Napi::CallbackInfo& info) {
  const std::string library = ReadLibrary(Arg(info[0], "libraries"), "cuda");
  return RunOnPool(info.Env(), {},
                   [library](const CancelTokenPtr&) {
                     return ToOutcome<GpuProbe>(ProbeDriver(library), ProbeToValue);
                   })
      .handle;
}

}  // namespace cosmos
