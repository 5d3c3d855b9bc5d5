#include "media/parallel_runs.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <thread>
#include <utility>

namespace cosmos {
namespace {

bool EndsTheClip(StatusCode code) {
  return code == StatusCode::kDeviceLost || code == StatusCode::kCancelled || code == StatusCode::kTimeout;
}

struct Lane {
  DecodePlan plan;  // the whole clip's, but some of its runs
  std::int64_t packets = 0;
  std::unique_ptr<Demuxer> own_demuxer;
  std::unique_ptr<NvdecDecoder> own_decoder;

  Status status;
  bool whole = false;
  std::vector<WantedPicture> pictures;
  DecodeCounts counts;
  int seeks = 0;
};

// Longest run first, each to the lane that has the least to do.
std::vector<Lane> Share(const DecodePlan& plan, int count) {
  std::vector<Lane> lanes(static_cast<std::size_t>(count));
  for (Lane& lane : lanes) lane.plan.wanted = plan.wanted;
  std::vector<DecodeRun> runs = plan.runs;
  const auto length = [](const DecodeRun& run) { return run.last - run.first + 1; };
  std::ranges::stable_sort(runs, std::ranges::greater(), length);
  for (const DecodeRun& run : runs) {
    Lane& least = *std::ranges::min_element(lanes, {}, &Lane::packets);
    least.plan.runs.push_back(run);
    least.packets += length(run);
  }
  for (Lane& lane : lanes) std::ranges::sort(lane.plan.runs, {}, &DecodeRun::first);
  std::erase_if(lanes, [](const Lane& lane) { return lane.plan.runs.empty(); });
  return lanes;
}

Status Decode(const ParallelDecode& job, Lane& lane, Demuxer& demuxer, NvdecDecoder& decoder) {
  // Damage is for the caller, who has the CPU's decoder.
  const auto refuse_damage = []() -> Result<std::unique_ptr<Decoder>> {
    return Status(StatusCode::kMedia, "a picture is damaged");
  };
  PictureStream stream(demuxer, decoder, refuse_damage, job.scan.index, job.scan.parameter_sets, lane.plan,
                       job.limits.max_packets_without_frame);
  std::size_t wanted = 0;
  for (const DecodeRun& run : lane.plan.runs) {
    wanted += static_cast<std::size_t>(std::ranges::count_if(
        job.plan.wanted, [&](int place) { return place >= run.first && place <= run.last; }));
  }
  for (;;) {
    COSMOS_ASSIGN_OR_RETURN(auto picture, stream.Next());
    if (!picture) break;
    lane.pictures.push_back(*std::move(picture));
  }
  lane.counts = stream.counts();
  lane.seeks = stream.seeks();
  const auto came = [](const WantedPicture& picture) { return picture.place == picture.wanted; };
  lane.whole = !decoder.gave_up() && lane.counts.damage == 0 && lane.pictures.size() == wanted &&
               std::ranges::all_of(lane.pictures, came);
  return {};
}

Status OpenAndDecode(const ParallelDecode& job, Lane& lane) {
  COSMOS_ASSIGN_OR_RETURN(lane.own_demuxer, Demuxer::Open(job.media, job.limits, job.guard));
  auto decoder = NvdecDecoder::Open(job.nvdec, lane.own_demuxer->parameters(), job.scan.index, job.limits,
                                    [&job] { return job.guard.Check(); });
  if (!decoder.ok()) return decoder.TakeStatus();
  lane.own_decoder = std::move(decoder).value();
  return Decode(job, lane, *lane.own_demuxer, *lane.own_decoder);
}

}  // namespace

Result<std::optional<ParallelResult>> DecodeInParallel(const ParallelDecode& job, int lanes, Demuxer& demuxer,
                                                       NvdecDecoder& decoder) {
  std::vector<Lane> shared = Share(job.plan, lanes);
  {
    std::vector<std::jthread> threads;
    threads.reserve(shared.size());
    for (std::size_t i = 1; i < shared.size(); ++i) {
      threads.emplace_back([&job, &lane = shared[i]] {
        const JobMemory::MeterScope counted(job.guard.memory());
        try {
          lane.status = OpenAndDecode(job, lane);
        } catch (const std::exception& error) {
          lane.status = Status(StatusCode::kOutOfMemory, error.what());
        }
      });
    }
    shared.front().status = Decode(job, shared.front(), demuxer, decoder);
  }

  ParallelResult result;
  bool whole = true;
  for (Lane& lane : shared) {
    if (EndsTheClip(lane.status.code())) return lane.status;
    whole = whole && lane.status.ok() && lane.whole;
    std::ranges::move(lane.pictures, std::back_inserter(result.pictures));
    result.counts.decoded += lane.counts.decoded;
    result.counts.discarded += lane.counts.discarded;
    result.seeks += lane.seeks;
    if (lane.own_demuxer) result.bytes_read += lane.own_demuxer->bytes_read();
  }
  if (!whole) {
    decoder.Reset();
    return std::optional<ParallelResult>();
  }
  std::ranges::sort(result.pictures, {},
                    [&](const WantedPicture& picture) { return job.scan.index.order(picture.place); });
  return std::optional(std::move(result));
}

}  // namespace cosmos
