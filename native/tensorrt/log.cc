#include "tensorrt/log.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

namespace cosmos::trt {
namespace {

constexpr std::size_t kLines = 20;
constexpr std::size_t kLineLength = 1000;

thread_local LogScope* current = nullptr;

struct KnownMessage {
  std::string_view text;  // a part of the line
  StatusCode code;
  std::string_view cause;
  std::string_view remedy;
};

// The first match counts, so causes precede their consequences.
constexpr auto kKnownMessages = std::to_array<KnownMessage>({
    {"Version tag does not match", StatusCode::kLibrary, "version_mismatch",
     "the plan was built by another version of TensorRT; build it again with this one"},
    {"not compatible with this version of TensorRT", StatusCode::kLibrary, "version_mismatch",
     "the plan was built by another version of TensorRT; build it again with this one"},
    {"Magic tag does not match", StatusCode::kModel, "corrupt_plan",
     "the plan is cut short or damaged; build it again"},
    {"generated on an incompatible device", StatusCode::kModel, "device_mismatch",
     "the plan was built for another kind of GPU; build it again on this one"},
    {"Compiled assuming that device", StatusCode::kModel, "device_mismatch",
     "a process can serve only one kind of GPU; start one for each, with CUDA_VISIBLE_DEVICES"},
    {"is not supported by this TensorRT release", StatusCode::kLibrary, "gpu_unsupported",
     "this version of TensorRT does not know the GPU; install a newer one"},
    {"Unexpected call to stub", StatusCode::kLibrary, "needs_full_runtime",
     "the lean runtime runs only version-compatible plans; use libnvinfer itself"},
    {"illegal memory access", StatusCode::kDeviceLost, "device_lost",
     "the GPU is lost for this process; start it again"},
    {"OutOfMemory", StatusCode::kOutOfMemory, "out_of_memory", "the GPU's memory is full"},
    {"out of memory", StatusCode::kOutOfMemory, "out_of_memory", "the GPU's memory is full"},
    {"CUDA initialization failure", StatusCode::kLibrary, "no_driver",
     "there is no NVIDIA driver that this version of TensorRT can use; install one, or a newer one"},
    {"CUDA driver version is insufficient", StatusCode::kLibrary, "old_driver",
     "the NVIDIA driver is too old for this version of TensorRT; update the driver"},
});

std::optional<KnownMessage> FindKnownMessage(const std::vector<std::string>& lines) {
  for (const KnownMessage& known : kKnownMessages) {
    const auto matches = [&](const std::string& line) { return line.find(known.text) != std::string::npos; };
    if (std::ranges::any_of(lines, matches)) return known;
  }
  return std::nullopt;
}

bool IsPathCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("/._-+~").find(c) != std::string_view::npos;
}

}  // namespace

std::string Redact(std::string_view line) {
  line = line.substr(0, kLineLength);
  std::string text;
  for (std::size_t i = 0; i < line.size();) {
    const bool begins = i == 0 || !IsPathCharacter(line[i - 1]);
    if (begins && line.substr(i).starts_with("0x")) {
      text += "0x";
      for (i += 2; i < line.size() && std::isxdigit(static_cast<unsigned char>(line[i])) != 0;) ++i;
    } else if (begins && line[i] == '/') {
      const std::size_t start = i;
      while (i < line.size() && IsPathCharacter(line[i])) ++i;
      const std::string_view path = line.substr(start, i - start);
      text += path.substr(path.rfind('/') + 1);
    } else {
      const char c = line[i++];
      text += std::iscntrl(static_cast<unsigned char>(c)) != 0 ? ' ' : c;
    }
  }
  return text;
}

void Log::Add(Severity severity, const char* text) noexcept {
  if (severity > Severity::kWarning || text == nullptr) return;
  std::string line = Redact(text);
  if (current != nullptr && &current->log_ == this) {
    current->error_ = current->error_ || severity <= Severity::kError;
    current->lines_.push_back(std::move(line));
    if (current->lines_.size() > kLines) current->lines_.pop_front();
    return;
  }
  const std::lock_guard lock(mutex_);
  unscoped_.push_back(std::move(line));
  if (unscoped_.size() > kLines) unscoped_.pop_front();
  ++unscoped_count_;
}

LogScope::LogScope(Log& log) : log_(log), outer_(current) {
  const std::lock_guard lock(log_.mutex_);
  first_unscoped_ = log_.unscoped_count_;
  current = this;
}

LogScope::~LogScope() { current = outer_; }

std::vector<std::string> LogScope::Lines() const {
  std::vector<std::string> lines(lines_.begin(), lines_.end());
  const std::lock_guard lock(log_.mutex_);
  const auto fresh = std::min<std::int64_t>(log_.unscoped_count_ - first_unscoped_,
                                            static_cast<std::int64_t>(log_.unscoped_.size()));
  lines.insert(lines.end(), log_.unscoped_.end() - fresh, log_.unscoped_.end());
  return lines;
}

Status LogScope::Failure(StatusCode code, std::string_view doing) const {
  const std::vector<std::string> lines = Lines();
  const auto known = FindKnownMessage(lines);
  std::string reason = lines.empty() ? "TensorRT gives no reason" : lines.back();
  if (known) {
    code = known->code;
    reason = known->remedy;
  }
  std::string log;
  for (const std::string& line : lines) log += line + "\n";
  return Status(code, std::string(doing) + ": " + reason)
      .With("reason", reason)
      .With("cause", std::string(known ? known->cause : ""))
      .With("log", std::move(log));
}

}  // namespace cosmos::trt
