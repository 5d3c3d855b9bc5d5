#include "media/demux/container_check.h"

#include <array>
#include <utility>

namespace cosmos {

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
  for (const auto& [name, check] : kChecks) {
    if (format.substr(0, format.find(',')) != name) continue;
    ByteScanner bytes(source);
    TableBudget budget(limits);
    return check(bytes, budget);
  }
  return {};
}

}  // namespace cosmos
