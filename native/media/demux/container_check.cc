#include "media/demux/container_check.h"

#include <algorithm>
#include <array>
#include <utility>

namespace cosmos {
namespace {

// FFmpeg reads these in front of every container, whatever its format is.
Status CheckLeadingId3(ByteScanner& bytes, TableBudget& budget) {
  for (std::int64_t at = 0; bytes.Has(at, "ID3");) {
    COSMOS_ASSIGN_OR_RETURN(const std::int64_t size, CheckId3(bytes, at, budget));
    if (size == 0) break;
    at += size;
  }
  return {};
}

}  // namespace

Result<std::int64_t> CheckId3(ByteScanner& bytes, std::int64_t at, TableBudget& budget) {
  constexpr std::int64_t kHeader = 10;
  constexpr std::uint32_t kFooter = 0x10;
  const std::uint32_t version = bytes.Byte(at + 3);
  std::int64_t size = 0;
  for (std::int64_t i = 6; i < kHeader; ++i) {
    if (bytes.Byte(at + i) > 0x7f) return 0;
    size = size << 7 | bytes.Byte(at + i);
  }
  // The shortest frame is its header and a byte. Frames are not followed: their sizes have several readings.
  const std::uint64_t frame_bytes = version == 2 ? 7 : 11;
  const std::int64_t held = std::clamp<std::int64_t>(bytes.size() - at - kHeader, 0, size);
  COSMOS_RETURN_IF_ERROR(budget.AddListEntries(1 + static_cast<std::uint64_t>(held) / frame_bytes));
  return kHeader + size + ((bytes.Byte(at + 5) & kFooter) != 0 ? kHeader : 0);
}

Status CheckContainer(std::string_view format, Source& source, const DecodeLimits& limits) {
  using Check = Status (*)(ByteScanner&, TableBudget&);
  // Keyed by the first of FFmpeg's names. Other containers have no tables: transport and program streams, raw
  // streams.
  static constexpr std::array<std::pair<std::string_view, Check>, 6> kChecks = {{{"mov", CheckMp4},
                                                                                 {"matroska", CheckMatroska},
                                                                                 {"avi", CheckAvi},
                                                                                 {"flv", CheckFlv},
                                                                                 {"asf", CheckAsf},
                                                                                 {"ogg", CheckOgg}}};
  ByteScanner bytes(source);
  TableBudget budget(limits);
  COSMOS_RETURN_IF_ERROR(CheckLeadingId3(bytes, budget));
  for (const auto& [name, check] : kChecks) {
    if (format.substr(0, format.find(',')) == name) return check(bytes, budget);
  }
  return {};
}

}  // namespace cosmos
