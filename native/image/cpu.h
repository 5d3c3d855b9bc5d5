// Tells which instructions this CPU has.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>

namespace cosmos {

// Queries the CPU directly: __builtin_cpu_supports needs runtime support that not every toolchain provides.
inline bool HasAvx2() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & bit_OSXSAVE) == 0) return false;
  unsigned saved = 0;
  __asm__("xgetbv" : "=a"(saved), "=d"(edx) : "c"(0));
  constexpr unsigned kVectorRegisters = 0b110;  // the OS saves XMM and YMM registers
  if ((saved & kVectorRegisters) != kVectorRegisters) return false;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_AVX2) != 0;
}

}  // namespace cosmos
#endif
