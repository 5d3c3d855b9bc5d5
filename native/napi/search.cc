#include "napi/search.h"

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "napi/arg.h"
#include "napi/job.h"
#include "search/nearest.h"

namespace cosmos {
namespace {

constexpr std::int64_t kMaxCount = 1'000'000;

Napi::Value ToValue(Napi::Env env, std::vector<Neighbour>&& best) {
  auto rows = Napi::Uint32Array::New(env, best.size());
  auto scores = Napi::Float32Array::New(env, best.size());
  for (std::size_t i = 0; i < best.size(); ++i) {
    rows.Data()[i] = best[i].row;
    scores.Data()[i] = best[i].score;
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("rows", rows);
  object.Set("scores", scores);
  return object;
}

}  // namespace

Napi::Value NearestVectors(const Napi::CallbackInfo& info) {
  const auto count = static_cast<std::uint32_t>(Arg(info[2], "count").Integer(1, kMaxCount));
  const Napi::Float32Array query = Arg(info[1], "query").Floats();
  const Arg arg(info[0], "vectors");
  const Napi::Float32Array vectors = arg.Floats();
  const std::size_t size = query.ElementLength();
  if (vectors.ElementLength() % size != 0) {
    arg.Fail("a multiple of " + std::to_string(size) + " floats (the length of query)",
             std::to_string(vectors.ElementLength()));
  }
  if (vectors.ElementLength() / size > std::numeric_limits<std::uint32_t>::max()) {
    arg.Fail("fewer than 2^32 vectors");
  }
  const std::span<const float> rows(vectors.Data(), vectors.ElementLength());
  // The job keeps `vectors` alive, so its memory stays where it is.
  return RunOnPool(
             info.Env(), vectors,
             [rows, query = std::vector<float>(query.Data(), query.Data() + size),
              count](const CancelTokenPtr& cancel) {
               return ToOutcome<std::vector<Neighbour>>(Nearest(rows, query, count, *cancel), ToValue);
             },
             Job::Memory::kBorrowed)
      .handle;
}

}  // namespace cosmos
