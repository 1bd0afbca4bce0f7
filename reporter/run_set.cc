#include "reporter/run_set.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/json.h"
#include "base/text.h"

namespace ktstr {
namespace {

// "20261121-210145-3f2a/NAME.try2" -> the run's own part
std::string stamp_of(const std::string& run_id) { return run_id.substr(0, run_id.find('/')); }

std::string text_field(const Json& json, const char* key) {
  auto it = json.find(key);
  return it != json.end() && it->is_string() ? printable(it->get<std::string>()) : std::string();
}

bool finished(const JudgedTest& test) { return !test.tries.empty() && test.last().finished; }

using TestKey = std::tuple<std::string, std::string, uint32_t>;
TestKey key_of(const JudgedTest& test) { return {test.last().name, test.last().kernel, test.last().round}; }

}  // namespace

void RunSet::add(RunFacts run) { runs_.push_back(std::move(run)); }

Status RunSet::add_plan(std::string_view text) {
  const Json json = parse_json(text);
  const auto bad = [] { return Error::invalid("not the plan of a run"); };
  if (!json.is_object() || !json.contains("tests") || !json["tests"].is_array()) return bad();
  const std::string stamp = text_field(json, "run_id");
  if (stamp.empty()) return bad();
  for (const Json& test : json["tests"]) {
    if (!test.is_object()) return bad();
    Planned planned{.stamp = stamp, .test = {}};
    planned.test.run_id = stamp;
    planned.test.name = text_field(test, "name");
    planned.test.file = text_field(test, "file");
    planned.test.kernel = text_field(test, "kernel");
    if (auto line = test.find("line"); line != test.end() && line->is_number_unsigned())
      planned.test.line = line->get<uint32_t>();
    planned_.push_back(std::move(planned));
  }
  return {};
}

std::vector<JudgedTest> RunSet::all() const {
  std::vector<JudgedTest> out;
  std::map<std::tuple<std::string, std::string, std::string, uint32_t>, size_t> places;
  std::set<std::tuple<std::string, std::string, std::string>> seen;  // run, name, kernel
  for (const RunFacts& run : runs_) {
    const std::string stamp = stamp_of(run.run_id);
    seen.emplace(stamp, run.name, run.file);
    auto [place, is_new] = places.try_emplace({stamp, run.name, run.file, run.round}, out.size());
    // A copy of a log is no further try.
    const auto same = [&](const RunFacts& other) { return other.try_number == run.try_number; };
    if (!is_new && std::none_of(out[place->second].tries.begin(), out[place->second].tries.end(), same)) {
      out[place->second].tries.push_back(run);
      continue;
    }
    place->second = out.size();
    out.push_back({.tries = {run}, .planned = {}});
  }
  for (JudgedTest& test : out)
    std::stable_sort(test.tries.begin(), test.tries.end(),
                     [](const RunFacts& a, const RunFacts& b) { return a.try_number < b.try_number; });
  for (const Planned& planned : planned_)
    if (!seen.contains({planned.stamp, planned.test.name, planned.test.file}))
      out.push_back({.tries = {}, .planned = planned.test});
  return out;
}

std::vector<JudgedTest> RunSet::tests(bool merge) const {
  std::vector<JudgedTest> out = all();
  if (!merge) return out;
  std::set<TestKey> done;
  for (const JudgedTest& test : out)
    if (finished(test)) done.insert(key_of(test));
  std::erase_if(out, [&](const JudgedTest& test) { return !finished(test) && done.contains(key_of(test)); });
  // The same test unfinished in several runs: the newest of them stands for all.
  std::map<TestKey, std::string> newest;
  for (const JudgedTest& test : out)
    if (!finished(test)) newest[key_of(test)] = std::max(newest[key_of(test)], stamp_of(test.last().run_id));
  std::erase_if(out, [&](const JudgedTest& test) {
    return !finished(test) && stamp_of(test.last().run_id) != newest[key_of(test)];
  });
  return out;
}

size_t RunSet::superseded() const { return all().size() - tests(true).size(); }

}  // namespace ktstr
