// The fuzzer without libFuzzer: FUZZER SECONDS [SEED] changes the seeds at random for so long; FUZZER FILE... runs inputs that
// were found. An input that crashes is in fuzz-crash.bin of the working folder.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

const Input* g_current = nullptr;

// Async-signal-safe calls only.
void keep_input(int signo) {
  const int fd = ::open("fuzz-crash.bin", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd >= 0 && g_current != nullptr) (void)!::write(fd, g_current->data(), g_current->size());
  constexpr char kWords[] = "fuzz: the input is in fuzz-crash.bin\n";
  (void)!::write(2, kWords, sizeof kWords - 1);
  ::signal(signo, SIG_DFL);
  ::raise(signo);
}

void run(const Input& input) {
  g_current = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  g_current = nullptr;
}

int run_files(int count, char** paths) {
  for (int i = 0; i < count; ++i) {
    std::ifstream file(paths[i], std::ios::binary);
    run(Input(std::istreambuf_iterator<char>(file), {}));
  }
  return 0;
}

int run_for(double seconds, unsigned seed) {
  const std::vector<Input> first = seeds();
  for (const Input& input : first) run(input);
  std::mt19937 random(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t runs = 0;
  while (std::chrono::steady_clock::now() < end) {
    Input input = first[random() % first.size()];
    for (unsigned n = 1 + random() % 4; n > 0; --n) mutate(input, random);
    run(input);
    ++runs;
  }
  std::printf("%llu runs of changed inputs, seed %u\n", static_cast<unsigned long long>(runs), seed);
  return runs > 0 ? 0 : 1;
}

}  // namespace
}  // namespace ktstr::fuzz

int main(int argc, char** argv) {
  using namespace ktstr::fuzz;
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s SECONDS [SEED] | FILE...\n", argv[0]);
    return 2;
  }
  for (int signo : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) ::signal(signo, keep_input);
  char* end = nullptr;
  const double seconds = std::strtod(argv[1], &end);
  if (*end != '\0') return run_files(argc - 1, argv + 1);
  return run_for(
      seconds, argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : std::random_device()());
}
