#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/child.h"
#include "base/text.h"
#include "launcher/cli/spec_files.h"
#include "schemas/guest_paths.h"
#include "schemas/helper_flags.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kListHead = "# ktstr test list 1\n";
constexpr std::string_view kPlaceMark = "#@ ";
constexpr std::chrono::milliseconds kListLimit{20'000};
constexpr uint64_t kBodyGraceNs = 30'000'000'000;  // beside duration_s, for what a body does before and after

bool is_elf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[4] = {};
  return in.read(magic, sizeof magic) && std::string_view(magic, 4) == "\177ELF";
}

struct Place {
  std::string file;
  unsigned line = 0;
};

// For each line of the list (1-based), where in C++ it came from.
std::vector<Place> places_of(const std::string& list) {
  std::vector<Place> places(1);
  Place now;
  std::istringstream in(list);
  for (std::string text; std::getline(in, text);) {
    const size_t colon = text.rfind(':');
    if (text.starts_with(kPlaceMark) && colon != std::string::npos) {
      now.file = text.substr(kPlaceMark.size(), colon - kPlaceMark.size());
      std::from_chars(text.data() + colon + 1, text.data() + text.size(), now.line);
    }
    places.push_back(now);
  }
  return places;
}

// "BINARY:12: text" of each line becomes "file.cc:7: text".
std::string in_cpp_terms(const std::string& message, const std::string& path,
                         const std::vector<Place>& places) {
  std::string out;
  std::istringstream in(message);
  for (std::string text; std::getline(in, text);) {
    if (!out.empty()) out += '\n';
    unsigned line = 0;
    const std::string prefix = path + ":";
    if (text.starts_with(prefix)) {
      const char* digits = text.data() + prefix.size();
      auto [end, error] = std::from_chars(digits, text.data() + text.size(), line);
      if (error == std::errc() && line < places.size() && places[line].line != 0)
        text = places[line].file + ":" + std::to_string(places[line].line) +
               text.substr(static_cast<size_t>(end - text.data()));
    }
    out += text;
  }
  return out;
}

Result<std::string> ask_for_list(const std::string& path) {
  std::error_code ec;
  std::string real = fs::canonical(path, ec);
  if (ec) return Error::not_found(path + ": " + ec.message());
  auto answer = run_captured({.argv = {real, kListTestsFlag}}, kListLimit);
  if (!answer) return std::move(answer).error().within(path + ": ask for its tests");
  const std::string said = answer->out.substr(0, answer->out.find('\n'));
  if (!answer->exit.clean() || !answer->out.starts_with(kListHead))
    return Error::invalid(path + ": a program that does not tell its tests (--ktstr-list: " +
                          answer->exit.to_string() + (said.empty() ? "" : ": " + printable(said)) + ")")
        .with_hint("a test binary is linked with ktstr::test (ktstr/test.h); a spec is a .toml file");
  return std::move(answer->out);
}

// The binary becomes the test's body.
Status add_body(const std::string& path, TestSpecT& spec) {
  for (const auto& payload : spec.payloads)
    if (payload->name == kBodyPayload)
      return Error::invalid(spec.file + ":" + std::to_string(spec.line) + ": a payload may not be called \"" +
                            kBodyPayload + "\": that is the test's own");
  auto body = std::make_unique<PayloadSpecT>();
  std::error_code ec;
  body->name = kBodyPayload;
  body->binary = path;
  body->host_path = fs::canonical(path, ec);
  body->guest_path = std::string(kGuestPayloads) + "body/" + fs::path(path).filename().string();
  body->args = {kRunBodyFlag, spec.base_name.empty() ? spec.name : spec.base_name};
  body->timeout_ns = spec.duration_ns + kBodyGraceNs;
  spec.payloads.push_back(std::move(body));
  spec.body = kBodyPayload;
  return {};
}

}  // namespace

Result<std::vector<LoadedTest>> load_tests_of(const std::string& path, const SpecOptions& options) {
  if (!is_elf(path)) return load_tests(path, options);
  auto list = ask_for_list(path);
  if (!list) return std::move(list).error();
  const std::vector<Place> places = places_of(*list);
  auto tests = parse_tests(*list, path, options);
  if (!tests) {
    Error error = Error::invalid(in_cpp_terms(tests.error().message(), path, places));
    return std::move(error).with_hint(tests.error().hint());
  }
  for (LoadedTest& test : *tests) {
    const Place place = test.spec.line < places.size() ? places[test.spec.line] : Place{};
    test.spec.file = place.file;
    test.spec.line = place.line;
    for (Setting& setting : test.settings)
      if (setting.line < places.size() && setting.line != 0) setting.line = places[setting.line].line;
    if (auto added = add_body(path, test.spec); !added) return std::move(added).error();
  }
  return tests;
}

}  // namespace ktstr
