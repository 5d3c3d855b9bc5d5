// The toy plan of the fake TensorRT. A file with a header of 28 bytes, followed by lines of text:
//
//   bytes 0-3    66 74 72 74 ("ftrt": the tag 0x74727466, little endian)
//   bytes 4-7    0 (the version of the serialisation)
//   bytes 8-23   anything
//   bytes 24-27  major, minor, patch, build of the TensorRT that it is for (by default the fakes are
//                10.16.1.11 and 11.1.0.106)
//
//   gpu 9.0                                       optional: the compute capability that it was built for
//   host_code                                     optional: needs setEngineHostCodeAllowed(true)
//   input videos uint8 -1x8x3x224x224             name, type (float32, float16, int32, uint8, int64), shape
//   output video_embeddings float32 -1x256
//   profile videos 1x8x3x224x224 8x8x3x224x224 16x8x3x224x224      an input's least, best and largest shape;
//   profile videos …                              the n-th line of an input belongs to the n-th profile
//
// Lines may come in any order; empty ones are skipped. Row i of the output depends on row i of the inputs
// alone, has D values and is normalised to length 1:
//   one input    value j = 1 + the mean of the j-th of D equal slices of the row (float32 elements times 255)
//   two inputs   ids, then mask: value j = 1 + the sum over tokens k of mask[k] · ids[k] · (1 + (k + j) % 3)
// Further outputs are filled with zeros. In a shell:
//
//   (printf 'ftrt\0\0\0\0................\012\020\001\013'; echo 'input videos uint8 -1x2x3x4x4'; …) >x.plan
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace fakes {

using Shape = std::vector<std::int64_t>;

struct PlanTensor {
  std::string name;
  std::string type;
  Shape shape;
  bool input = false;
};

struct Profile {
  Shape min;
  Shape opt;
  Shape max;
};

struct Plan {
  std::string gpu;
  bool host_code = false;
  std::vector<PlanTensor> tensors;
  std::map<std::string, std::vector<Profile>> profiles;  // by input

  const PlanTensor* Find(std::string_view name) const {
    for (const PlanTensor& tensor : tensors) {
      if (tensor.name == name) return &tensor;
    }
    return nullptr;
  }
};

inline Shape ParseShape(const std::string& text) {
  Shape shape;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, 'x');) shape.push_back(std::stoll(part));
  return shape;
}

// Nullopt unless the bytes are a plan of this version.
inline std::optional<Plan> ParsePlan(const void* blob, std::size_t size,
                                     const std::array<std::uint8_t, 4>& version) {
  constexpr std::size_t kHeader = 28;
  const auto* bytes = static_cast<const char*>(blob);
  if (size < kHeader || std::memcmp(bytes, "ftrt\0\0\0", 8) != 0) return std::nullopt;
  if (std::memcmp(bytes + 24, version.data(), version.size()) != 0) return std::nullopt;
  Plan plan;
  std::istringstream lines(std::string(bytes + kHeader, size - kHeader));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind, name, a, b, c;
    words >> kind >> name >> a >> b >> c;
    if (kind == "gpu") plan.gpu = name;
    if (kind == "host_code") plan.host_code = true;
    if (kind == "input" || kind == "output")
      plan.tensors.push_back({name, a, ParseShape(b), kind == "input"});
    if (kind == "profile") plan.profiles[name].push_back({ParseShape(a), ParseShape(b), ParseShape(c)});
  }
  return plan;
}

}  // namespace fakes
