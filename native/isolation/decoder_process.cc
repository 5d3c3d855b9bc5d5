#include "isolation/decoder_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/shortage.h"

namespace cosmos {
namespace {

constexpr std::chrono::seconds kStartPatience{20};
// A decoder looks at its own clock and at the cancellation at every packet and read; it is ended when it is
// this late.
constexpr std::chrono::milliseconds kTimeoutGrace{1000};
constexpr std::chrono::milliseconds kCancelGrace{500};
constexpr double kLongestPatience = 1e8;  // three years; more would overflow a deadline
// Beside FFmpeg's memory, which a decode counts itself: pictures as RGB, stacks, and the libraries' own.
constexpr std::int64_t kOwnBytes = std::int64_t{3} << 29;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // its shadow memory would count
constexpr std::array<std::string_view, 5> kKeptVariables{
    "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS="};
#else
constexpr bool kSanitized = false;
constexpr std::array<std::string_view, 1> kKeptVariables{"LD_LIBRARY_PATH="};
#endif

Status CannotStartNow(const std::string& reason) {
  return {StatusCode::kOutOfMemory, "no decoder process can be started now: " + reason};
}

Status CannotStart(const std::string& executable, int error) {
  if (IsShortageOfThreads(error)) return CannotStartNow(std::generic_category().message(error));
  std::string reason = std::generic_category().message(error);
  if (error == EACCES) reason += "; it must be executable: chmod +x " + executable;
  return Status(StatusCode::kLibrary, "cannot start the decoder process " + executable + ": " + reason)
      .With("path", executable);
}

// The decoder gets no variable of the server, which may be secrets, except the one that its loader needs.
// `origin` is one of them: the loader looks for its own folder in /proc, which a minimal root lacks.
std::vector<char*> Environment(std::string& origin) {
  std::vector<char*> kept{origin.data()};
  for (char** variable = environ; variable && *variable; ++variable) {
    for (const std::string_view name : kKeptVariables) {
      if (std::string_view(*variable).starts_with(name)) kept.push_back(*variable);
    }
  }
  kept.push_back(nullptr);
  return kept;
}

// A descriptor that takes what is written and keeps nothing, or an invalid one and `errno`. A minimal root
// has no /dev/null; an event refuses what is no number.
Descriptor Nowhere() {
  Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) null = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!null.valid()) return null;
  return Descriptor(fcntl(null.get(), F_DUPFD_CLOEXEC, 10));
}

// Gives the decoder nothing but the socket, as its descriptor 3. Without one of these it would get this
// process's own descriptors.
int AddFiles(posix_spawn_file_actions_t& files, int nowhere, int socket) {
  int error = 0;
  for (int descriptor = 0; descriptor < 3 && error == 0; ++descriptor) {
    // What a stranger's file makes the decoder print does not belong into the server's log.
    if (descriptor == 2 && kSanitized) continue;
    error = posix_spawn_file_actions_adddup2(&files, nowhere, descriptor);
  }
  return error != 0 ? error : posix_spawn_file_actions_adddup2(&files, socket, 3);
}

// Starts the executable with the socket as its descriptor 3. Returns 0 or an error number.
int Spawn(const DecoderOptions& options, int socket, pid_t& id) {
  std::string path = options.executable;
  std::string memory = std::to_string(kSanitized ? 0 : options.max_bytes + kOwnBytes);
  std::string shared = std::to_string(options.max_bytes);
  const std::array<char*, 4> arguments{path.data(), memory.data(), shared.data(), nullptr};
  std::string origin = "LD_ORIGIN_PATH=" + path.substr(0, path.rfind('/'));
  const std::vector<char*> environment = Environment(origin);

  const Descriptor nowhere = Nowhere();
  if (!nowhere.valid()) return errno;
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // A group of its own, so that Ctrl-C on a terminal reaches the server alone, which then drains.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  int error = AddFiles(files, nowhere.get(), socket);
  if (error == 0) {
    error = posix_spawn(&id, path.c_str(), &files, &attributes, arguments.data(), environment.data());
  }
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

std::string SignalName(int signal) {
  switch (signal) {
    case SIGABRT: return "SIGABRT";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGKILL: return "SIGKILL";
    case SIGSEGV: return "SIGSEGV";
    case SIGSYS: return "SIGSYS";
    case SIGTERM: return "SIGTERM";
    case SIGTRAP: return "SIGTRAP";
    case SIGXCPU: return "SIGXCPU";
    case SIGXFSZ: return "SIGXFSZ";
    default: return "signal " + std::to_string(signal);
  }
}

bool EndedForShortage(int status) {
  return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == kExitOfShortage;
}

bool WasKilled(int status) { return status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

Status CrashStatus(int status) {
  if (EndedForShortage(status)) {
    return {StatusCode::kOutOfMemory, "the system was short of memory, descriptors or threads for decoding"};
  }
  if (status < 0 || !WIFSIGNALED(status)) {
    const std::string how = status >= 0 && WIFEXITED(status)
                                ? "exit code " + std::to_string(WEXITSTATUS(status))
                                : std::string("for an unknown reason");
    return Status(StatusCode::kMedia, "the decoder ended on this file (" + how + ")")
        .With("decoderEnded", how);
  }
  const int signal = WTERMSIG(status);
  const std::string name = SignalName(signal);
  if (signal == SIGXCPU) {
    return Status(StatusCode::kTimeout, "the decoder used more processor time than maxWallSeconds allows")
        .With("decoderEnded", name);
  }
  if (WasKilled(status)) {
    return Status(StatusCode::kOutOfMemory,
                  "the decoder was ended on this file (SIGKILL), probably because memory ran short")
        .With("decoderEnded", name);
  }
  const std::string why = signal == SIGSYS ? ": it made a system call that decoding does not need" : "";
  return Status(StatusCode::kMedia,
                "the decoder ended on this file (signal " + std::to_string(signal) + ", " + name + ")" + why)
      .With("decoderEnded", name)
      .With("signal", static_cast<double>(signal));
}

}  // namespace

// Becomes readable when the token is cancelled.
class CancelEvent {
 public:
  explicit CancelEvent(const CancelTokenPtr& token) {
    if (!token) return;
    event_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (event_.valid()) {
      listener_.emplace(*token, [this] { eventfd_write(event_.get(), 1); });
    } else {
      status_ = SystemStatus(errno, "eventfd");
    }
  }
  CancelEvent(const CancelEvent&) = delete;
  CancelEvent& operator=(const CancelEvent&) = delete;
  ~CancelEvent() = default;

  const Status& status() const { return status_; }
  int descriptor() const { return event_.get(); }
  void Reset() {
    eventfd_t value = 0;
    eventfd_read(event_.get(), &value);
  }

 private:
  Descriptor event_;
  Status status_;
  std::optional<CancelToken::Listener> listener_;
};

Result<std::unique_ptr<DecoderProcess>> DecoderProcess::Start(const DecoderOptions& options) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return CannotStart(options.executable, errno);
  }
  Descriptor own(sockets[0]);
  pid_t id = 0;
  {
    // Closed here before the greeting: otherwise the end of the decoder would not be noticed.
    const Descriptor other(sockets[1]);
    // Away from descriptor 3: duplicating a descriptor onto itself would leave it closed on exec.
    const Descriptor inherited(fcntl(other.get(), F_DUPFD_CLOEXEC, 10));
    const int error = inherited.valid() ? Spawn(options, inherited.get(), id) : errno;
    if (error != 0) return CannotStart(options.executable, error);
  }
  std::unique_ptr<DecoderProcess> process(new DecoderProcess(id, Channel(std::move(own))));
  COSMOS_RETURN_IF_ERROR(process->Greet(options));
  return process;
}

DecoderProcess::~DecoderProcess() {
  if (alive_) End();
}

Status DecoderProcess::Greet(const DecoderOptions& options) {
  CancelEvent never(nullptr);
  auto greeting = Wait(Clock::now() + kStartPatience, never, {});
  if (greeting.status().code() == StatusCode::kOutOfMemory)
    return CannotStartNow(greeting.status().message());
  if (!greeting.ok() || greeting->type != MessageType::kHello) {
    const std::optional<int> ended = alive_ ? AwaitEnd() : std::nullopt;
    if (ended && (EndedForShortage(*ended) || WasKilled(*ended)))
      return CannotStartNow("the system was short of memory or threads");
    const std::string why = ended && *ended > 0 && WIFEXITED(*ended) && WEXITSTATUS(*ended) == 127
                                ? "its libraries were not found"
                                : "it ended or said nothing";
    return Status(StatusCode::kLibrary,
                  "the decoder process " + options.executable + " did not start: " + why)
        .With("path", options.executable);
  }
  COSMOS_ASSIGN_OR_RETURN(const Hello hello, DecodeHello(greeting->body));
  if (hello.protocol != kProtocolVersion || hello.version != COSMOS_VERSION) {
    return Status(StatusCode::kLibrary,
                  "the decoder process " + options.executable + " was built for version " + hello.version +
                      " and protocol " + std::to_string(hello.protocol) +
                      ", not for " COSMOS_VERSION " and " + std::to_string(kProtocolVersion))
        .With("path", options.executable);
  }
  walls_ = hello.walls;
  return {};
}

void DecoderProcess::CheckIdle() {
  pollfd waiting{channel_.socket(), POLLIN, 0};
  // Nothing may come while nothing was asked.
  if (alive_ && poll(&waiting, 1, 0) > 0) End();
}

Result<Message> DecoderProcess::Ask(MessageType type, ByteView body, int descriptor, const Patience& patience,
                                    const CancelTokenPtr& cancel, const GpuHandler& gpu) {
  answered_ = false;
  if (cancel && cancel->cancelled()) return Status(StatusCode::kCancelled, "the decode was cancelled");
  CancelEvent event(cancel);
  if (!event.status().ok()) return event.status();
  LimitProcessorTime(patience);
  if (const Status sent = channel_.Send(type, body, descriptor); !sent.ok()) return Ended(sent);
  const std::chrono::duration<double> seconds(std::min(patience.seconds, kLongestPatience));
  const auto deadline = Clock::now() + kTimeoutGrace + std::chrono::duration_cast<Clock::duration>(seconds);
  auto answer = Wait(deadline, event, gpu);
  if (!answer.ok()) {
    if (answer.status().code() == StatusCode::kTimeout) {
      return Status(StatusCode::kTimeout, "decoding took longer than the limit maxWallSeconds of " +
                                              std::to_string(patience.seconds) + " s")
          .With("limit", patience.seconds);
    }
    return answer.status().code() == StatusCode::kCancelled ? answer.TakeStatus() : Ended(answer.status());
  }
  answered_ = true;
  if (answer->type == MessageType::kFailure) return DecodeFailure(answer->body);
  if (answer->type == MessageType::kClip) ++clips_;
  return answer;
}

// Waits for a message. Ends the process when it does not come in time.
Result<Message> DecoderProcess::Wait(Clock::time_point deadline, CancelEvent& event, const GpuHandler& gpu) {
  bool cancelling = false;
  for (;;) {
    auto received = channel_.Receive();
    if (!received.ok()) return received.TakeStatus();
    const bool calls = received.value() && received.value()->type == MessageType::kGpuCall && gpu;
    if (received.value() && !calls) return *std::move(received.value());
    if (calls) {
      COSMOS_ASSIGN_OR_RETURN(const GpuReply reply, gpu(*received.value()));
      deadline += reply.waited;
      if (reply.answer) {
        COSMOS_RETURN_IF_ERROR(channel_.Send(MessageType::kGpuAnswer, *reply.answer, reply.descriptor.get()));
      }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      End();
      return cancelling ? Status(StatusCode::kCancelled, "the decode was cancelled")
                        : Status(StatusCode::kTimeout, "the decoder did not answer in time");
    }
    std::array<pollfd, 2> waiting{{{channel_.socket(), POLLIN, 0}, {event.descriptor(), POLLIN, 0}}};
    const int wait_ms = calls ? 0 : static_cast<int>(std::min<std::int64_t>(left, 60'000));
    if (poll(waiting.data(), waiting.size(), wait_ms) < 0 && errno != EINTR) {
      return SystemStatus(errno, "waiting for the decoder", StatusCode::kOutOfMemory);
    }
    if ((waiting[1].revents & POLLIN) != 0) {
      event.Reset();
      cancelling = true;
      deadline = std::min(deadline, Clock::now() + kCancelGrace);
      if (Status sent = channel_.Send(MessageType::kCancel, {}); !sent.ok()) return sent;
    }
  }
}

// Ends a decoder that computes without end, even if this process cannot.
void DecoderProcess::LimitProcessorTime(const Patience& patience) const {
  const double more = std::min(patience.seconds, kLongestPatience) * (patience.threads + 1) + 10;
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(id_, &clock) != 0 || clock_gettime(clock, &used) != 0) return;
  rlimit limit{static_cast<rlim_t>(static_cast<double>(used.tv_sec) + more), RLIM_INFINITY};
  prlimit(id_, RLIMIT_CPU, &limit, nullptr);
}

// The status of a process that has ended or is about to, or nothing when it goes on.
std::optional<int> DecoderProcess::AwaitEnd() {
  const auto patience = Clock::now() + kCancelGrace;
  int status = -1;
  while (waitpid(id_, &status, WNOHANG) == 0) {
    if (Clock::now() > patience) return std::nullopt;
    usleep(1000);
  }
  alive_ = false;
  return status;
}

int DecoderProcess::End() {
  alive_ = false;
  kill(id_, SIGKILL);
  int status = -1;
  pid_t waited = 0;
  do {
    waited = waitpid(id_, &status, 0);
  } while (waited < 0 && errno == EINTR);
  // An application that ignores SIGCHLD leaves no status.
  return waited == id_ ? status : -1;
}

// Says why a request failed whose decoder ended or broke the protocol.
Status DecoderProcess::Ended(const Status& failure) {
  if (!alive_) return failure;
  if (failure.code() == StatusCode::kOutOfMemory) {
    // This process is short of something, for which the file is not to blame.
    End();
    return failure;
  }
  crashed_ = true;
  // When the channel is closed, the process is about to be a zombie, if it is not one already.
  const std::optional<int> ended = failure.code() == StatusCode::kSource ? AwaitEnd() : std::nullopt;
  if (ended) {
    crashed_ = !EndedForShortage(*ended);
    return CrashStatus(*ended);
  }
  End();
  return Status(StatusCode::kMedia, "the decoder was stopped on this file: " + failure.message())
      .With("decoderEnded", "protocol");
}

}  // namespace cosmos
