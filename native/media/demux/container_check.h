// What is known of a container before FFmpeg reads it.
#pragma once

#include <string_view>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/demux/byte_window.h"
#include "media/demux/source.h"
#include "media/limits/table_budget.h"

namespace cosmos {

// Refuses tables and lists that would take FFmpeg more memory than the limits allow, or hours: kLimit, or
// kMedia where they claim what the file cannot hold. `format`: the demuxer's name, as FFmpeg has it.
Status CheckContainer(std::string_view format, Source& source, const DecodeLimits& limits);

// One for each family of containers, in files of their own.
Status CheckMp4(ByteWindow& bytes, TableBudget& budget);
Status CheckMatroska(ByteWindow& bytes, TableBudget& budget);
Status CheckAvi(ByteWindow& bytes, TableBudget& budget);
Status CheckFlv(ByteWindow& bytes, TableBudget& budget);
Status CheckAsf(ByteWindow& bytes, TableBudget& budget);
Status CheckOgg(ByteWindow& bytes, TableBudget& budget);

}  // namespace cosmos
