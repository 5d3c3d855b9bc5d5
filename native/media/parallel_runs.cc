#include "media/parallel_runs.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

namespace cosmos {
namespace {

// Some of the plan's runs, and what came of them.
struct Part {
  DecodePlan plan;  // with all wanted pictures, but only this part's runs
  std::int64_t packets = 0;
  std::unique_ptr<Demuxer> own_demuxer;
  std::unique_ptr<HardwareDecoder> own_decoder;

  Status status;
  bool complete = false;  // nothing was damaged or missing
  std::vector<WantedPicture> pictures;
  DecodeCounts counts;
  int seeks = 0;
};

// Assigns the longest run first, each to the part with the fewest packets so far.
std::vector<Part> SplitRuns(const DecodePlan& plan, int count) {
  std::vector<Part> parts(static_cast<std::size_t>(count));
  for (Part& part : parts) {
    part.plan.wanted = plan.wanted;
    part.plan.bounds = plan.bounds;
  }
  std::vector<DecodeRun> runs = plan.runs;
  const auto length = [](const DecodeRun& run) { return run.last - run.first + 1; };
  std::ranges::stable_sort(runs, std::ranges::greater(), length);
  for (const DecodeRun& run : runs) {
    Part& least = *std::ranges::min_element(parts, {}, &Part::packets);
    least.plan.runs.push_back(run);
    least.packets += length(run);
  }
  for (Part& part : parts) std::ranges::sort(part.plan.runs, {}, &DecodeRun::first);
  std::erase_if(parts, [](const Part& part) { return part.plan.runs.empty(); });
  return parts;
}

Status Decode(const ParallelDecode& job, Part& part, Demuxer& demuxer, HardwareDecoder& decoder) {
  // The caller handles damage: it has the CPU's decoder.
  const auto refuse_damage = []() -> Result<std::unique_ptr<Decoder>> {
    return Status(StatusCode::kMedia, "a picture is damaged");
  };
  PictureStream stream(demuxer, decoder, refuse_damage, job.scan.index, job.scan.parameter_sets, part.plan,
                       job.limits.max_packets_without_frame);
  std::size_t wanted = 0;
  for (const DecodeRun& run : part.plan.runs) {
    wanted += static_cast<std::size_t>(std::ranges::count_if(
        job.plan.wanted, [&](int place) { return place >= run.first && place <= run.last; }));
  }
  for (;;) {
    COSMOS_ASSIGN_OR_RETURN(auto picture, stream.Next());
    if (!picture) break;
    part.pictures.push_back(*std::move(picture));
  }
  part.counts = stream.counts();
  part.seeks = stream.seeks();
  const auto is_wanted = [](const WantedPicture& picture) { return picture.place == picture.wanted; };
  part.complete = !decoder.gave_up() && part.counts.damage == 0 && part.pictures.size() == wanted &&
                  std::ranges::all_of(part.pictures, is_wanted);
  return {};
}

Status OpenAndDecode(const ParallelDecode& job, Part& part) {
  COSMOS_ASSIGN_OR_RETURN(part.own_demuxer, Demuxer::Open(job.media, job.limits, job.guard));
  COSMOS_ASSIGN_OR_RETURN(part.own_decoder, job.backend.Open(part.own_demuxer->parameters(), job.scan.index,
                                                             job.limits, job.guard));
  return Decode(job, part, *part.own_demuxer, *part.own_decoder);
}

}  // namespace

Result<std::optional<ParallelResult>> DecodeInParallel(const ParallelDecode& job, int count, Demuxer& demuxer,
                                                       HardwareDecoder& decoder) {
  std::vector<Part> parts = SplitRuns(job.plan, count);
  {
    std::vector<std::jthread> threads;
    threads.reserve(parts.size());
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const auto decode = [&job, &part = parts[i]] {
        const JobMemory::MeterScope counted(job.guard.memory());
        try {
          part.status = OpenAndDecode(job, part);
        } catch (const std::exception& error) {
          part.status = Status(StatusCode::kOutOfMemory, error.what());
        }
      };
      try {
        threads.emplace_back(decode);
      } catch (const std::system_error& error) {  // no thread
        parts[i].status = Status(StatusCode::kOutOfMemory, error.what());
      }
    }
    parts.front().status = Decode(job, parts.front(), demuxer, decoder);
  }

  ParallelResult result;
  bool complete = true;
  for (Part& part : parts) {
    if (EndsClip(part.status.code())) return part.status;
    complete = complete && part.status.ok() && part.complete;
    std::ranges::move(part.pictures, std::back_inserter(result.pictures));
    result.counts.decoded += part.counts.decoded;
    result.counts.discarded += part.counts.discarded;
    result.seeks += part.seeks;
    if (part.own_demuxer) result.bytes_read += part.own_demuxer->bytes_read();
  }
  if (!complete) {
    decoder.Reset();
    return std::optional<ParallelResult>();
  }
  std::ranges::sort(result.pictures, {},
                    [&](const WantedPicture& picture) { return job.scan.index.order(picture.place); });
  return std::optional(std::move(result));
}

}  // namespace cosmos
