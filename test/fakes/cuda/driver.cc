// Initialisation, devices and contexts.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/state.h"

namespace fakes {
namespace {

constexpr const char* kDefaultDevices = "Fake H200:9.0:8192";
constexpr int kDefaultVersion = 12040;
constexpr int kMultiprocessors = 132;

int Number(std::string_view text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

CUuuid UuidOf(int physical) {
  CUuuid uuid{};
  for (int i = 0; i < 16; ++i) uuid.bytes[i] = static_cast<char>(0xf0 - 13 * i);
  uuid.bytes[15] = static_cast<char>(physical);
  return uuid;
}

bool IsMig(const Context& device) { return device.name.find(" MIG ") != std::string::npos; }

std::string UuidText(const Context& device) {
  const CUuuid uuid = UuidOf(device.physical);
  std::string text = IsMig(device) ? "MIG-" : "GPU-";
  for (int i = 0; i < 16; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof(hex), "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += hex;
  }
  return text;
}

std::vector<std::unique_ptr<Context>> AllDevices() {
  const char* setting = std::getenv("COSMOS_FAKE_CUDA_DEVICES");
  std::vector<std::unique_ptr<Context>> devices;
  for (const std::string_view text : Split(setting ? setting : kDefaultDevices, ';')) {
    const auto parts = Split(text, ':');
    auto device = std::make_unique<Context>();
    device->physical = static_cast<int>(devices.size());
    device->name = parts.empty() ? "" : parts[0];
    const auto capability = Split(parts.size() > 1 ? parts[1] : "9.0", '.');
    device->major = Number(capability.at(0));
    device->minor = capability.size() > 1 ? Number(capability[1]) : 0;
    device->total_bytes = static_cast<std::size_t>(parts.size() > 2 ? Number(parts[2]) : 8192) << 20;
    devices.push_back(std::move(device));
  }
  return devices;
}

// Like the driver, ends the list at the first entry that names no device.
std::vector<std::unique_ptr<Context>> VisibleDevices() {
  auto all = AllDevices();
  const char* setting = std::getenv("CUDA_VISIBLE_DEVICES");
  if (setting == nullptr) return all;
  std::vector<std::unique_ptr<Context>> visible;
  for (const std::string_view text : Split(setting, ',')) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& device) {
      if (!device) return false;
      if (text.starts_with("GPU-") || text.starts_with("MIG-")) return UuidText(*device).starts_with(text);
      return device->physical == Number(text);
    });
    if (found == all.end()) break;
    visible.push_back(std::move(*found));
  }
  return visible;
}

Context* DeviceAt(State& state, int index) {
  return index >= 0 && index < static_cast<int>(state.devices.size()) ? state.devices[index].get() : nullptr;
}

}  // namespace

int DriverVersion() {
  const char* setting = std::getenv("COSMOS_FAKE_CUDA_VERSION");
  return setting ? Number(setting) : kDefaultVersion;
}

FAKE_CUDA_API cuInit(unsigned flags) {
  return Call("cuInit", Needs::kNothing, [&](State& state) {
    if (flags != 0) return Error(1);
    if (state.initialised) return CUDA_SUCCESS;
    state.devices = VisibleDevices();
    if (state.devices.empty()) return Error(100);
    for (const auto& device : state.devices) {
      device->default_stream = new CUstream_st{.context = device.get()};
      state.streams.insert(device->default_stream);
    }
    state.initialised = true;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDriverGetVersion(int* version) {
  return Call("cuDriverGetVersion", Needs::kNothing, [&](State&) {
    *version = DriverVersion();
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuGetErrorName(CUresult error, const char** name) {
  return Call("cuGetErrorName", Needs::kNothing, [&](State&) {
    const std::string_view found = ErrorName(error);
    *name = found.empty() ? nullptr : found.data();
    return found.empty() ? Error(1) : CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuGetErrorString(CUresult error, const char** text) {
  return Call("cuGetErrorString", Needs::kNothing, [&](State&) {
    *text = ErrorName(error).empty() ? nullptr : "from the fake libcuda";
    return *text ? CUDA_SUCCESS : Error(1);
  });
}

FAKE_CUDA_API cuDeviceGetCount(int* count) {
  return Call("cuDeviceGetCount", Needs::kDriver, [&](State& state) {
    *count = static_cast<int>(state.devices.size());
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDeviceGet(CUdevice* device, int ordinal) {
  return Call("cuDeviceGet", Needs::kDriver, [&](State& state) {
    if (!DeviceAt(state, ordinal)) return Error(101);
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDeviceGetName(char* name, int length, CUdevice device) {
  return Call("cuDeviceGetName", Needs::kDriver, [&](State& state) {
    const Context* found = DeviceAt(state, device);
    if (!found) return Error(101);
    if (length < 1) return Error(1);
    std::snprintf(name, length, "%s", found->name.c_str());
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return Call("cuDeviceGetUuid_v2", Needs::kDriver, [&](State& state) {
    const Context* found = DeviceAt(state, device);
    if (!found) return Error(101);
    *uuid = UuidOf(found->physical);
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return Call("cuDeviceGetAttribute", Needs::kDriver, [&](State& state) {
    const Context* found = DeviceAt(state, device);
    if (!found) return Error(101);
    switch (attribute) {
      case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = found->major; break;
      case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = found->minor; break;
      case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = kMultiprocessors; break;
      default: return Error(1);
    }
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  return Call("cuDeviceTotalMem_v2", Needs::kDriver, [&](State& state) {
    const Context* found = DeviceAt(state, device);
    if (!found) return Error(101);
    *bytes = found->total_bytes;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return Call("cuDevicePrimaryCtxRetain", Needs::kDriver, [&](State& state) {
    Context* found = DeviceAt(state, device);
    if (!found) return Error(101);
    found->retained = true;
    *context = found;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuCtxSetCurrent(CUcontext context) {
  return Call("cuCtxSetCurrent", Needs::kDriver, [&](State& state) {
    const auto known = [&](const auto& device) { return device.get() == context && device->retained; };
    if (context && std::none_of(state.devices.begin(), state.devices.end(), known)) return Error(201);
    Current() = context;
    return CUDA_SUCCESS;
  });
}

FAKE_CUDA_API cuCtxGetCurrent(CUcontext* context) {
  return Call("cuCtxGetCurrent", Needs::kDriver, [&](State&) {
    *context = Current();
    return CUDA_SUCCESS;
  });
}

}  // namespace fakes
