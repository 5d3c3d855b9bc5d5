// The entry point that libFuzzer calls.
#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cosmos::fuzz::FuzzOne({data, size});
  return 0;
}
