#include "tests/bench/bench_kit.h"

#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "schemas/client_generated.h"

namespace ktstr::bench {

Folder::Folder() {
  const char* root = std::getenv("KTSTR_BENCH_DIR");
  path_ = std::string(root && *root ? root : "/tmp") + "/ktstr-bench-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) {
    std::perror(path_.c_str());
    std::exit(3);
  }
}

Folder::~Folder() { std::filesystem::remove_all(path_); }

void Bars::say(const std::string& what, double value, const char* sign, double bar, bool good) {
  std::printf("%-4s %s: %.4g (bar: %s %.4g)\n", good ? "ok" : "FAIL", what.c_str(), value, sign, bar);
  std::fflush(stdout);
  failed_ = failed_ || !good;
}

void Bars::at_least(const std::string& what, double value, double bar) {
  say(what, value, ">=", bar, value >= bar);
}
void Bars::at_most(const std::string& what, double value, double bar) {
  say(what, value, "<=", bar, value <= bar);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<long>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

EventBuffer event_of_256_bytes(const std::string& run_id, uint64_t number) {
  CollectorLineT t;
  t.text = std::to_string(number);
  t.text.resize(134, '.');
  return make_event({.run_id = run_id, .source = "bench", .host_ns = number}, std::move(t));
}

}  // namespace ktstr::bench
