// The sandbox of a decoder process, tried from inside: what decoding does not need must not succeed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include "isolation/sandbox.h"

namespace cosmos::test {
namespace {

const pid_t kParent = getpid();
constexpr int kRefused = 0;
constexpr int kSucceeded = 42;

// Runs `attempt` in a child inside the sandbox. Returns the child's status.
int StatusInside(const std::function<bool()>& attempt, const SandboxLimits& limits = {}) {
  const pid_t child = fork();
  if (child == 0) {
    if (!EnterSandbox(limits).system_calls) _exit(99);
    _exit(attempt() ? kSucceeded : kRefused);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

struct Attempt {
  const char* name;
  std::function<bool()> succeeds;
};

class Sandbox : public testing::TestWithParam<Attempt> {};

TEST_P(Sandbox, Refuses) {
  const int status = StatusInside(GetParam().succeeds);
  const bool ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
  const bool refused = WIFEXITED(status) && WEXITSTATUS(status) == kRefused;
  EXPECT_TRUE(ended || refused) << "status " << status;
}

// Calls by number: the wrappers of the C library may use others.
const Attempt kAttempts[] = {
    {"OpeningAFile", [] { return syscall(__NR_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) >= 0; }},
    {"CreatingAFile", [] { return syscall(__NR_openat, AT_FDCWD, "/tmp/x", O_CREAT | O_WRONLY, 0600) >= 0; }},
    {"RemovingAFile", [] { return syscall(__NR_unlinkat, AT_FDCWD, "/tmp/x", 0) == 0; }},
    {"ListingAFolder", [] { return syscall(__NR_getdents64, 0, nullptr, 0) >= 0; }},
    {"ASocket", [] { return socket(AF_INET, SOCK_STREAM, 0) >= 0; }},
    {"ALocalSocket", [] { return socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }},
    {"ConnectingADescriptor",
     [] {
       sockaddr_in address{};
       return connect(0, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 || errno != EPERM;
     }},
    {"AProgram",
     [] {
       char* const none[] = {nullptr};
       return execve("/bin/true", none, none) == 0 || errno != EPERM;
     }},
    {"AProcess", [] { return syscall(__NR_clone, SIGCHLD, 0, 0, 0, 0) >= 0; }},
    {"AProcessByClone3",
     [] {
       clone_args arguments{};
       arguments.exit_signal = SIGCHLD;
       return syscall(SYS_clone3, &arguments, sizeof arguments) >= 0;
     }},
    // The owner of a channel gets a signal when something comes, of any number.
    {"ASignalThroughAChannel", [] { return fcntl(0, F_SETOWN, kParent) == 0; }},
    {"HugePages", [] { return syscall(__NR_memfd_create, "", MFD_HUGETLB) >= 0; }},
    {"TracingAProcess", [] { return ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0; }},
    {"ReadingAnotherProcess",
     [] { return syscall(__NR_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0) == 0; }},
    {"EndingTheServer", [] { return syscall(__NR_kill, getppid(), 0) == 0; }},
    {"EndingAThreadOfTheServer", [] { return syscall(__NR_tgkill, getppid(), getppid(), 0) == 0; }},
    {"ExecutableMemory",
     [] {
       return mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
     }},
    {"MakingMemoryExecutable",
     [] {
       void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
     }},
    {"ANamespace", [] { return syscall(__NR_unshare, CLONE_NEWUSER) == 0; }},
    {"AMount", [] { return syscall(__NR_mount, "none", "/", "tmpfs", 0, nullptr) == 0; }},
    {"Control", [] { return syscall(__NR_ioctl, 0, 0x5413, nullptr) == 0 || errno != EPERM; }},
    {"RaisingItsLimits", [] { return syscall(__NR_prlimit64, 0, 7, nullptr, nullptr) == 0; }},
    {"AnotherFilter", [] { return syscall(__NR_prctl, 22, 2, nullptr) == 0 || errno != EPERM; }},
    {"Bpf", [] { return syscall(__NR_bpf, 0, nullptr, 0) >= 0 || errno != EPERM; }},
    {"IoUring", [] { return syscall(425, 1, nullptr) >= 0 || errno != EPERM; }},
};

INSTANTIATE_TEST_SUITE_P(All, Sandbox, testing::ValuesIn(kAttempts),
                         [](const auto& each) { return each.param.name; });

TEST(SandboxOfADecoder, LetsThreadsAndMemoryBe) {
  const int status = StatusInside([] {
    int sum = 0;
    std::thread([&] { sum += 1; }).join();
    const std::string large(64U << 20, 'x');
    return sum == 1 && large.back() == 'x' && memfd_create("m", MFD_CLOEXEC) >= 0;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kSucceeded) << "status " << status;
}

TEST(SandboxOfADecoder, LimitsItsMemory) {
  const auto takes_a_gibibyte = [] {
    return mmap(nullptr, 1U << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
  };
  EXPECT_EQ(WEXITSTATUS(StatusInside(takes_a_gibibyte)), kSucceeded);
  EXPECT_EQ(WEXITSTATUS(StatusInside(takes_a_gibibyte, {.private_bytes = 1 << 28})), kRefused);
}

}  // namespace
}  // namespace cosmos::test
