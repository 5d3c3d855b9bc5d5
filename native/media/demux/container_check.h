// Checks a container's tables before FFmpeg builds them.
#pragma once

#include <string_view>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/demux/byte_scanner.h"
#include "media/demux/source.h"
#include "media/limits/table_budget.h"

namespace cosmos {

// Refuses tables and lists that would take FFmpeg more memory than the limits allow, or hours: kLimit, or
// kMedia when they claim more than the file can hold. `format` is the name of FFmpeg's demuxer.
Status CheckContainer(std::string_view format, Source& source, const DecodeLimits& limits);

// Counts what an ID3v2 tag may hold by its size, and returns that, or 0 where there is none.
Result<std::int64_t> CheckId3(ByteScanner& bytes, std::int64_t at, TableBudget& budget);

// One check for each family of containers.
Status CheckMp4(ByteScanner& bytes, TableBudget& budget);
Status CheckMatroska(ByteScanner& bytes, TableBudget& budget);
Status CheckAvi(ByteScanner& bytes, TableBudget& budget);
Status CheckFlv(ByteScanner& bytes, TableBudget& budget);
Status CheckAsf(ByteScanner& bytes, TableBudget& budget);
Status CheckOgg(ByteScanner& bytes, TableBudget& budget);

}  // namespace cosmos
