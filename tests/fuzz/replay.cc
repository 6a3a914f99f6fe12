// Runs a fuzzer without libFuzzer, in any build: its seeds, and what small changes make of them. It
// follows no coverage; that needs clang.
//
//   NAME FOLDER [CHANGES]   each seed once, then so many changed ones of each (default: 200)
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

std::vector<Input> ReadSeeds(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

void Run(const Input& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

// One to four changes of a byte, a run of bytes or the end.
Input Changed(Input input, const Input& other, std::minstd_rand& random) {
  const auto below = [&](size_t end) { return static_cast<size_t>(random()) % end; };
  for (size_t left = 1 + below(4); left > 0 && !input.empty(); --left) {
    const auto at = static_cast<std::ptrdiff_t>(below(input.size()));
    switch (below(5)) {
      case 0:
        input[static_cast<size_t>(at)] = static_cast<uint8_t>(below(256));
        break;
      case 1:
        input[static_cast<size_t>(at)] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 2:
        input.erase(input.begin() + at);
        break;
      case 3:
        input.insert(input.begin() + at, static_cast<uint8_t>(below(256)));
        break;
      default:
        if (other.empty()) break;
        input.resize(static_cast<size_t>(at));
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                     other.end());
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::vector<Input> seeds = ReadSeeds(argv[1]);
  if (seeds.empty()) {
    std::fprintf(stderr, "%s: there is no seed\n", argv[1]);
    return 1;
  }
  const int changes = argc > 2 ? std::atoi(argv[2]) : 200;
  for (const Input& seed : seeds) Run(seed);
  std::minstd_rand random(1);
  for (int i = 0; i < changes; ++i) {
    for (const Input& seed : seeds) Run(Changed(seed, seeds[random() % seeds.size()], random));
  }
  std::printf("%zu seeds, %zu changed ones\n", seeds.size(),
              seeds.size() * static_cast<size_t>(changes));
  return 0;
}
