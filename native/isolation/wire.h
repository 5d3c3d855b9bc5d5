// Writes and reads the values of a message. Both ends run on one machine, so values keep their native form.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"

namespace cosmos {

// Bounds of the values in messages.
namespace wire {
inline constexpr std::uint32_t kMaxText = 16 * 1024;                      // bytes of one string
inline constexpr int kMaxSide = 1 << 16;                                  // of a picture
inline constexpr std::int64_t kMaxInteger = (std::int64_t{1} << 53) - 1;  // what JavaScript can hold

inline std::string_view Shortened(const std::string& text) {
  return std::string_view(text).substr(0, kMaxText);
}
inline Status Malformed(const char* what) {
  return {StatusCode::kInternal, std::string("the decoder process and this one disagree: ") + what};
}
}  // namespace wire

template <typename T>
concept WireValue = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

class WireWriter {
 public:
  template <WireValue T>
  void Put(T value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void PutBool(bool value) { Put(static_cast<std::uint8_t>(value)); }
  void PutString(std::string_view text) {
    Put(static_cast<std::uint32_t>(text.size()));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  void PutBytes(std::span<const std::uint8_t> bytes) {
    Put(static_cast<std::uint32_t>(bytes.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::uint8_t> Take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Reads bytes that the other process may have chosen to do harm. A value that is absent or out of its range
// reads as zero and makes the whole message invalid, so that a decoder checks once, at its end.
class WireReader {
 public:
  explicit WireReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  template <WireValue T>
  T Get(T least = std::numeric_limits<T>::lowest(), T most = std::numeric_limits<T>::max()) {
    T value{};
    if (rest_.size() < sizeof value) return Fail<T>();
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_ = rest_.subspan(sizeof value);
    // False for NaN, too.
    return value >= least && value <= most ? value : Fail<T>();
  }
  bool GetBool() { return Get<std::uint8_t>(0, 1) != 0; }
  std::string GetString(std::uint32_t longest) {
    const auto size = Get<std::uint32_t>(0, longest);
    if (size > rest_.size()) return Fail<std::string>();
    std::string text(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return text;
  }
  // A view of the message.
  std::span<const std::uint8_t> GetBytes(std::uint32_t most) {
    const auto size = Get<std::uint32_t>(0, most);
    if (size > rest_.size()) return Fail<std::span<const std::uint8_t>>();
    const auto bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }
  // The number of elements of a list, each of which takes at least `bytes_each` bytes of the message.
  std::uint32_t GetCount(std::uint32_t most, std::size_t bytes_each) {
    const auto count = Get<std::uint32_t>(0, most);
    return count * bytes_each <= rest_.size() ? count : Fail<std::uint32_t>();
  }
  // Marks the message as invalid for a reason that only its decoder knows.
  void Refuse() { valid_ = false; }

  // Whether all values were valid so far.
  bool valid() const { return valid_; }
  // Whether all values were valid and nothing is left.
  bool complete() const { return valid_ && rest_.empty(); }

 private:
  template <typename T>
  T Fail() {
    valid_ = false;
    return T{};
  }

  std::span<const std::uint8_t> rest_;
  bool valid_ = true;
};

}  // namespace cosmos
