// Runs a fuzz target without libFuzzer, so that a finding can be repeated and debugged in a build of any
// compiler:
//
//   clip FILE…                            each file once
//   clip --seconds N [--seed S] FILE…     then mutations of them for this long, and the count
//
// It exits with 0 unless the target ends the process.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/mutator.h"
#include "fuzz/target.h"

namespace {

using File = std::vector<std::uint8_t>;

File ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  File file{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  file.shrink_to_fit();  // so that AddressSanitizer sees a read after the end
  return file;
}

// The mutation that is running, kept as a file until it has ended.
void RunKept(const File& file, const std::filesystem::path& kept) {
  std::ofstream(kept, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  cosmos::fuzz::FuzzOne(file);
}

void Mutate(const std::vector<File>& files, double seconds, std::uint32_t seed) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  cosmos::fuzz::Mutator mutator(seed);
  const std::filesystem::path kept = "crash-" + std::to_string(seed);
  long runs = 0;
  while (!files.empty() && std::chrono::steady_clock::now() < end) {
    const File& file = files[mutator.Below(files.size())];
    const File& other = files[mutator.Below(files.size())];
    File mutated = mutator.Mutate(file, other);
    mutated.shrink_to_fit();
    RunKept(mutated, kept);
    ++runs;
  }
  std::filesystem::remove(kept);
  std::fprintf(stderr, "stat::number_of_executed_units: %ld\n", runs);
}

}  // namespace

int main(int count, char** arguments) {
  double seconds = 0;
  std::uint32_t seed = 1;
  std::vector<File> files;
  for (int i = 1; i < count; ++i) {
    const bool has_value = i + 1 < count;
    if (std::strcmp(arguments[i], "--seconds") == 0 && has_value) {
      seconds = std::atof(arguments[++i]);
    } else if (std::strcmp(arguments[i], "--seed") == 0 && has_value) {
      seed = static_cast<std::uint32_t>(std::atoll(arguments[++i]));
    } else {
      files.push_back(ReadFile(arguments[i]));
      cosmos::fuzz::FuzzOne(files.back());
    }
  }
  if (seconds > 0) Mutate(files, seconds, seed);
  std::fprintf(stderr, "%zu files\n", files.size());
  return 0;
}
