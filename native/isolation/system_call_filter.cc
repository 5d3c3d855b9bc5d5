// The filter of system calls: a list of what decoding needs. Others fail with EPERM, so that a library which
// only probes for something goes on without it. Those that no library has reason to try end the process.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "isolation/sandbox.h"

namespace cosmos {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the filter of system calls knows x86-64 and arm64"
#endif

// Older headers lack them; the numbers are the same on both architectures.
#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#ifndef __NR_rseq
#if defined(__x86_64__)
#define __NR_rseq 334
#else
#define __NR_rseq 293
#endif
#endif

constexpr std::array kAllowed = std::to_array<std::uint32_t>({
  // The channel and the media. Descriptors come over the channel only.
  __NR_recvmsg, __NR_sendmsg, __NR_ppoll, __NR_read, __NR_pread64, __NR_write, __NR_lseek, __NR_close,
      // Memory. memfd_create, fcntl, which seals, mmap and mprotect are checked below.
      __NR_brk, __NR_munmap, __NR_mremap, __NR_madvise,
      // Threads. clone is checked below.
      __NR_futex, __NR_set_robust_list, __NR_rseq, __NR_sched_yield, __NR_sched_getaffinity, __NR_gettid,
      __NR_getpid, __NR_exit, __NR_exit_group,
      // Clocks, where the kernel has no faster way than a call.
      __NR_clock_gettime, __NR_clock_getres, __NR_gettimeofday, __NR_clock_nanosleep, __NR_nanosleep,
      __NR_restart_syscall,
      // Signals: abort() and the crash handlers of sanitizers. tgkill is checked below.
      __NR_rt_sigprocmask, __NR_rt_sigaction, __NR_rt_sigreturn, __NR_sigaltstack,
      // Random bytes for hash tables.
      __NR_getrandom,
#if defined(__x86_64__)
      __NR_poll, __NR_time,
#endif
#if defined(__SANITIZE_ADDRESS__)
      // By which UBSan finds out whether memory can be read.
      __NR_pipe2,
#if defined(__x86_64__)
      __NR_pipe,
#endif
#endif
});

constexpr std::array kFatal = std::to_array<std::uint32_t>({
  __NR_execve, __NR_execveat, __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_socket,
      __NR_socketpair, __NR_connect, __NR_bind, __NR_listen, __NR_accept4, __NR_unshare, __NR_setns,
      __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_bpf, __NR_userfaultfd,
      __NR_perf_event_open, __NR_keyctl, __NR_add_key, __NR_init_module, __NR_kill, __NR_tkill,
#if defined(__x86_64__)
      __NR_fork, __NR_vfork,
#endif
});

class Filter {
 public:
  void Load(std::size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
  // Returns from the filter with `action` when the loaded value is `value`.
  void ReturnIfEqual(std::uint32_t value, std::uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    Return(action);
  }
  void ReturnUnlessEqual(std::uint32_t value, std::uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    Return(action);
  }
  // Decides a call by one of its arguments, then goes on with the next rule for other calls.
  void ByArgument(std::uint32_t call, int argument, std::uint32_t bits, bool wanted,
                  std::uint32_t otherwise) {
    // Skips the four instructions of this rule.
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
    Load(offsetof(seccomp_data, args) + sizeof(std::uint64_t) * static_cast<std::size_t>(argument));
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, static_cast<std::uint8_t>(wanted ? 0 : 1),
                             static_cast<std::uint8_t>(wanted ? 1 : 0)));
    Return(SECCOMP_RET_ALLOW);
    Return(otherwise);
  }
  // The same for an argument that must be one of these.
  void ByArgument(std::uint32_t call, int argument, std::initializer_list<std::uint32_t> allowed,
                  std::uint32_t otherwise) {
    code_.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, static_cast<std::uint8_t>(2 * allowed.size() + 2)));
    Load(offsetof(seccomp_data, args) + sizeof(std::uint64_t) * static_cast<std::size_t>(argument));
    for (const std::uint32_t value : allowed) ReturnIfEqual(value, SECCOMP_RET_ALLOW);
    Return(otherwise);
  }
  void Return(std::uint32_t action) { Add(BPF_RET | BPF_K, action); }

  bool Install() {
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
  }

 private:
  void Add(int code, std::uint32_t value) {
    code_.push_back({static_cast<std::uint16_t>(code), 0, 0, value});
  }
  std::vector<sock_filter> code_;
};

}  // namespace

bool FilterSystemCalls() {
  constexpr std::uint32_t kDeny = SECCOMP_RET_ERRNO | EPERM;
  Filter filter;
  filter.Load(offsetof(seccomp_data, arch));
  filter.ReturnUnlessEqual(kArchitecture, SECCOMP_RET_KILL_PROCESS);
  filter.Load(offsetof(seccomp_data, nr));
  for (const std::uint32_t call : kAllowed) filter.ReturnIfEqual(call, SECCOMP_RET_ALLOW);
  for (const std::uint32_t call : kFatal) filter.ReturnIfEqual(call, SECCOMP_RET_KILL_PROCESS);
  // The C library falls back to clone, whose flags a filter can read.
  filter.ReturnIfEqual(__NR_clone3, SECCOMP_RET_ERRNO | ENOSYS);
  filter.ByArgument(__NR_clone, 0, CLONE_THREAD, true, SECCOMP_RET_KILL_PROCESS);
  // Huge pages are few on most machines: the server could not map them, and would think itself out of memory.
  filter.ByArgument(__NR_memfd_create, 1, MFD_HUGETLB, false, kDeny);
  filter.ByArgument(__NR_mmap, 2, PROT_EXEC, false, kDeny);
  filter.ByArgument(__NR_mprotect, 2, PROT_EXEC, false, kDeny);
  // raise() and abort() send a signal to this process; no other process may get one. It would also get one,
  // of any number, if fcntl made it the owner of the channel.
  filter.ByArgument(__NR_tgkill, 0, {static_cast<std::uint32_t>(getpid())}, SECCOMP_RET_KILL_PROCESS);
  filter.ByArgument(__NR_fcntl, 1, {F_ADD_SEALS, F_GET_SEALS}, kDeny);
  filter.Return(kDeny);
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter.Install();
}

}  // namespace cosmos
