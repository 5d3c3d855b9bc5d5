#include "isolation/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/descriptor.h"

namespace cosmos {
namespace {

// The descriptors of the channel, of one request and of its parts on the GPU, and a few for clips and packets
// that are being sent.
constexpr rlim_t kMaxDescriptors = 32;

bool WriteFile(const char* path, const std::string& text) {
  const Descriptor file(open(path, O_WRONLY | O_CLOEXEC));
  return file.valid() && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool Limit(__rlimit_resource resource, rlim_t value) {
  const rlimit limit{value, value};
  return setrlimit(resource, &limit) == 0;
}

// A user namespace gives an unprivileged process the right to make the others.
bool EnterNamespaces() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) return false;
  // Without these the process would be nobody, to whom tmpfs is refused on some kernels.
  WriteFile("/proc/self/setgroups", "deny");
  WriteFile("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
  WriteFile("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
  return true;
}

// Makes an empty, read-only file system the root, and lets go of the old one.
bool EmptyFiles() {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  for (const char* place : {"/tmp", "/dev", "/proc", "/var", "/usr"}) {
    if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=1,mode=0555") !=
        0) {
      continue;
    }
    return chdir(place) == 0 && syscall(__NR_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
           mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) ==
               0 &&
           chdir("/") == 0;
  }
  return false;
}

// Not the address space, of which allocators and mapped media reserve far more than they use.
bool LimitMemory(const SandboxLimits& limits) {
  // A clip beyond the limit is an error of the write that makes it, and does not end the process.
  if (std::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return false;
  const bool shared =
      limits.shared_bytes == 0 || Limit(RLIMIT_FSIZE, static_cast<rlim_t>(limits.shared_bytes));
  const bool own = limits.private_bytes == 0 || Limit(RLIMIT_DATA, static_cast<rlim_t>(limits.private_bytes));
  return shared && own && Limit(RLIMIT_NOFILE, kMaxDescriptors) && Limit(RLIMIT_CORE, 0);
}

}  // namespace

Walls EnterSandbox(const SandboxLimits& limits) {
  Walls walls;
  walls.network = EnterNamespaces();
  walls.files = walls.network && EmptyFiles();
  // A process that is not dumpable cannot be traced, and its memory cannot be read, by others of its user.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  walls.memory = LimitMemory(limits);
  walls.system_calls = FilterSystemCalls();
  return walls;
}

}  // namespace cosmos
