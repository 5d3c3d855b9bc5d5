#include "failing_calls.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <thread>

namespace cosmos::test {
namespace {

sock_filter Load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
sock_filter Return(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter SkipUnless(int test, std::uint32_t value, std::uint8_t skipped) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, 0, skipped);
}

// For the calling thread alone, and what it starts.
bool Filter(const FailingCalls& calls) {
  const std::uint32_t fail = SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(calls.error);
  std::vector<sock_filter> code;
  for (const long number : calls.numbers) {
    code.push_back(Load(offsetof(seccomp_data, nr)));
    if (calls.argument < 0) {
      code.push_back(SkipUnless(BPF_JEQ, static_cast<std::uint32_t>(number), 1));
    } else {
      code.push_back(SkipUnless(BPF_JEQ, static_cast<std::uint32_t>(number), 3));
      code.push_back(Load(offsetof(seccomp_data, args) + 8U * static_cast<unsigned>(calls.argument)));
      code.push_back(SkipUnless(BPF_JSET, calls.bits, 1));
    }
    code.push_back(Return(fail));
  }
  code.push_back(Return(SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace

void RunWithout(const FailingCalls& calls, const std::function<void()>& work) {
  std::thread([&] {
    if (!Filter(calls)) {
      ADD_FAILURE() << "no filter of system calls: error " << errno;
      return;
    }
    work();
  }).join();
}

}  // namespace cosmos::test
