// Holds native/tensorrt/abi.h against NVIDIA's headers, on which scripts/check-tensorrt-abi compiles it. A
// signature that differs does not compile; everything else is counted here. Prints a line for each
// difference, then the count.
#include <NvInferRuntime.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

#include "tensorrt/abi.h"

namespace ours = cosmos::trt;
namespace theirs = nvinfer1;

namespace {

int checks = 0;
int differences = 0;

void Expect(const std::string& what, long long found, long long expected) {
  ++checks;
  if (found == expected) return;
  ++differences;
  std::printf("  %s: abi.h says %lld, TensorRT's headers say %lld\n", what.c_str(), found, expected);
}

// Our types as theirs; what has no name of its own is the same.
template <typename T>
struct Map {
  using Type = T;
};
template <typename T>
struct Map<T*> {
  using Type = typename Map<T>::Type*;
};
template <typename T>
struct Map<T&> {
  using Type = typename Map<T>::Type&;
};
template <typename T>
struct Map<const T> {
  using Type = const typename Map<T>::Type;
};
#define MAP(Ours, Theirs)        \
  template <>                    \
  struct Map<ours::Ours> {       \
    using Type = theirs::Theirs; \
  };
MAP(CudaEngine, ICudaEngine)
MAP(ExecutionContext, IExecutionContext)
MAP(Dims, Dims)
MAP(DataType, DataType)
MAP(IoMode, TensorIOMode)
MAP(Location, TensorLocation)
MAP(Selector, OptProfileSelector)
MAP(Allocation, ExecutionContextAllocationStrategy)

// The slot of a virtual method in its class's table: what the Itanium ABI keeps in a pointer to it.
template <typename Pointer>
long long SlotOf(Pointer pointer) {
  long long words[2];
  static_assert(sizeof(pointer) == sizeof(words));
  std::memcpy(words, &pointer, sizeof(words));
#if defined(__aarch64__)
  return words[0] / static_cast<long long>(sizeof(void*));
#else
  return (words[0] - 1) / static_cast<long long>(sizeof(void*));
#endif
}

// The slot of the overload with this very signature, const or not.
template <typename Class, typename Signature>
struct Signatures;
template <typename Class, typename Return, typename... Args>
struct Signatures<Class, Return(Args...)> {
  using Plain = typename Map<Return>::Type (Class::*)(typename Map<Args>::Type...) noexcept;
  using Const = typename Map<Return>::Type (Class::*)(typename Map<Args>::Type...) const noexcept;
  static long long Of(Plain method) { return SlotOf(method); }
  static long long Of(Const method) { return SlotOf(method); }
};

bool destroyed = false;
bool freed = false;

// The offset of mImpl, and that our Delete is their `delete`.
template <typename Interface>
struct Probe : Interface {
  ~Probe() noexcept override { destroyed = true; }
  static void operator delete(void* memory) {
    freed = true;
    ::operator delete(memory);
  }
  static long long Offset() {
    const auto pointer = &Probe::mImpl;
    long long offset = 0;
    static_assert(sizeof(pointer) == sizeof(offset));
    std::memcpy(&offset, &pointer, sizeof(offset));
    return offset;
  }
};

template <typename Ours, typename Interface>
void CheckObject(const std::string& name) {
  Expect(name + ": offset of mImpl", sizeof(void*), Probe<Interface>::Offset());
  destroyed = freed = false;
  Interface* object = new Probe<Interface>;
  ours::Delete{}(reinterpret_cast<Ours*>(object));
  Expect(name + ": delete destroys", destroyed, 1);
  Expect(name + ": delete frees", freed, 1);
}

template <typename Base>
struct Logger final : Base {
  void Write(ours::Severity severity, const char* text) noexcept override {
    last_severity = static_cast<int>(severity);
    last_text = text;
  }
  int last_severity = -1;
  std::string last_text;
};

template <typename Base>
void CheckLogger() {
  // Through memory that the compiler knows nothing about, or it would call Write as the class that it sees.
  Logger<Base>* logger = new Logger<Base>;
  void* volatile opaque = static_cast<Base*>(logger);
  auto* their_logger = static_cast<theirs::ILogger*>(opaque);
  for (const auto severity :
       {theirs::ILogger::Severity::kINTERNAL_ERROR, theirs::ILogger::Severity::kVERBOSE}) {
    their_logger->log(severity, "some text");
    Expect("ILogger: severity", logger->last_severity, static_cast<int>(severity));
    Expect("ILogger: text", logger->last_text == "some text", 1);
    logger->last_text.clear();
  }
#if NV_TENSORRT_MAJOR >= 11
  Expect("ILogger: language", static_cast<int>(their_logger->getAPILanguage()),
         static_cast<int>(theirs::APILanguage::kCPP));
  const auto info = their_logger->getInterfaceInfo();
  Expect("ILogger: kind", std::strcmp(info.kind, "ILogger"), 0);
  Expect("ILogger: major", info.major, 1);
  Expect("ILogger: minor", info.minor, 0);
#endif
  delete their_logger;
}

}  // namespace

#if NV_TENSORRT_MAJOR == 10
#define OUR_SLOT(slot10, slot11) slot10
using OurLogger = ours::Logger10;
#else
#define OUR_SLOT(slot10, slot11) slot11
using OurLogger = ours::Logger11;
#endif

// Here, where the signatures in the table mean our types.
namespace cosmos::trt {
void CheckMethods() {
#define METHOD(Class, name, slot10, slot11, ...)      \
  Expect(#Class "::" #name, OUR_SLOT(slot10, slot11), \
         Signatures<theirs::apiv::V##Class, __VA_ARGS__>::Of(&theirs::apiv::V##Class::name));
  COSMOS_TRT_METHODS(METHOD)
}
}  // namespace cosmos::trt

int main() {
  ours::CheckMethods();
  CheckObject<ours::Runtime, theirs::IRuntime>("IRuntime");
  CheckObject<ours::CudaEngine, theirs::ICudaEngine>("ICudaEngine");
  CheckObject<ours::ExecutionContext, theirs::IExecutionContext>("IExecutionContext");
  // The first crash on another layout would be here.
  CheckLogger<OurLogger>();

  Expect("Dims: size", sizeof(ours::Dims), sizeof(theirs::Dims));
  Expect("Dims: rank", offsetof(ours::Dims, rank), offsetof(theirs::Dims, nbDims));
  Expect("Dims: d", offsetof(ours::Dims, d), offsetof(theirs::Dims, d));
  Expect("Dims: most", ours::Dims{}.d.size(), theirs::Dims::MAX_DIMS);
  static_assert(std::is_same_v<decltype(ours::Dims::rank), decltype(theirs::Dims::nbDims)>);
  static_assert(
      std::is_same_v<decltype(ours::Dims::d)::value_type, std::remove_extent_t<decltype(theirs::Dims::d)>>);

#define VALUE(Ours, our_value, Theirs, their_value)                          \
  static_assert(sizeof(ours::Ours) == sizeof(theirs::Theirs));               \
  Expect(#Theirs "::" #their_value, static_cast<int>(ours::Ours::our_value), \
         static_cast<int>(theirs::Theirs::their_value));
  VALUE(DataType, kFloat, DataType, kFLOAT)
  VALUE(DataType, kHalf, DataType, kHALF)
  VALUE(DataType, kInt8, DataType, kINT8)
  VALUE(DataType, kInt32, DataType, kINT32)
  VALUE(DataType, kBool, DataType, kBOOL)
  VALUE(DataType, kUint8, DataType, kUINT8)
  VALUE(DataType, kBf16, DataType, kBF16)
  VALUE(DataType, kInt64, DataType, kINT64)
  VALUE(IoMode, kNone, TensorIOMode, kNONE)
  VALUE(IoMode, kInput, TensorIOMode, kINPUT)
  VALUE(IoMode, kOutput, TensorIOMode, kOUTPUT)
  VALUE(Location, kDevice, TensorLocation, kDEVICE)
  VALUE(Location, kHost, TensorLocation, kHOST)
  VALUE(Selector, kMin, OptProfileSelector, kMIN)
  VALUE(Selector, kOpt, OptProfileSelector, kOPT)
  VALUE(Selector, kMax, OptProfileSelector, kMAX)
  VALUE(Allocation, kUserManaged, ExecutionContextAllocationStrategy, kUSER_MANAGED)
  VALUE(ApiLanguage, kCpp, APILanguage, kCPP)
  VALUE(Severity, kInternalError, ILogger::Severity, kINTERNAL_ERROR)
  VALUE(Severity, kError, ILogger::Severity, kERROR)
  VALUE(Severity, kWarning, ILogger::Severity, kWARNING)
  VALUE(Severity, kInfo, ILogger::Severity, kINFO)
  VALUE(Severity, kVerbose, ILogger::Severity, kVERBOSE)

  static_assert(std::is_convertible_v<decltype(&createInferRuntime_INTERNAL), ours::CreateRuntime>);
  static_assert(std::is_convertible_v<decltype(&getInferLibMajorVersion), ours::GetVersion>);
  static_assert(std::is_convertible_v<decltype(&getInferLibMinorVersion), ours::GetVersion>);
  static_assert(std::is_convertible_v<decltype(&getInferLibPatchVersion), ours::GetVersion>);
  static_assert(std::is_convertible_v<decltype(&getInferLibBuildVersion), ours::GetVersion>);

  std::printf("TensorRT %d.%d.%d.%d: %d checks, %d differences\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR,
              NV_TENSORRT_PATCH, NV_TENSORRT_BUILD, checks, differences);
  return differences == 0 ? 0 : 1;
}
