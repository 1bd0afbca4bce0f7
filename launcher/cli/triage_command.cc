// ktstr-launch triage DIR|LOG|TEXT…: any number of crashes, grouped by signature.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/explain_command.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 100'000;
constexpr size_t kMaxNames = 16;  // kernels and schedulers of a group
constexpr std::string_view kEventLog = "events.ktlog";

struct Group {
  uint64_t crashes = 0;
  std::set<std::string> files;
  std::set<std::string> kernels, schedulers;
  time_t first = 0, last = 0;
  Explanation exemplar;
  std::string exemplar_file;
};

void add_name(std::set<std::string>& names, const std::string& name) {
  if (!name.empty() && names.size() < kMaxNames) names.insert(name);
}

// When it was: the run's start, else the file's own time.
time_t time_of(const std::string& path) {
  if (path.ends_with(".ktlog")) {
    if (auto reader = LogReader::open(path); reader.ok()) {
      if (auto event = reader->next(); event.ok() && *event)
        if (auto* started = (*event)->as<RunStarted>(); started && started->start_unix_ns())
          return static_cast<time_t>(started->start_unix_ns() / 1'000'000'000);
    }
  }
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mtime : 0;
}

std::string day(time_t t) {
  char text[32] = "";
  struct tm parts{};
  if (t != 0 && ::gmtime_r(&t, &parts)) std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

// The files of a path; beside a run's log lie the report and other texts of the same run.
Status collect(const std::string& path, std::vector<std::string>& files) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error)) return Error::not_found(path + ": No such file or directory");
    files.push_back(path);
    return {};
  }
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end; at.increment(error)) {
    std::error_code bad;
    if (!at->is_regular_file(bad) || at->path().filename().string().starts_with(".")) continue;
    if (at->path().filename() != kEventLog && fs::exists(at->path().parent_path() / kEventLog, bad)) continue;
    found.push_back(at->path().string());
    if (found.size() >= kMaxFiles) break;
  }
  if (error) return Error::invalid(path + ": " + error.message());
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
  return {};
}

std::string joined(const std::set<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "not told" : out;
}

struct Triage {
  std::vector<std::pair<std::string, Group>> groups;  // most frequent first
  size_t files = 0, with_crash = 0, unreadable = 0;
};

void print_text(const Triage& t) {
  std::printf("%zu files, %zu with a crash, %zu different bugs%s\n", t.files, t.with_crash, t.groups.size(),
              t.unreadable ? fmt::format("; {} files could not be read", t.unreadable).c_str() : "");
  for (const auto& [signature, g] : t.groups) {
    std::printf(
        "\n%llu times in %zu files (%.1f %%): %s\n", static_cast<unsigned long long>(g.crashes),
        g.files.size(),
        100.0 * static_cast<double>(g.files.size()) / static_cast<double>(std::max<size_t>(t.files, 1)),
        printable(g.exemplar.summary).c_str());
    std::printf("  class %s, signature: %s\n", g.exemplar.cls.c_str(), printable(signature).c_str());
    std::printf("  first %s, last %s; kernels: %s; schedulers: %s\n", day(g.first).c_str(),
                day(g.last).c_str(), printable(joined(g.kernels)).c_str(),
                printable(joined(g.schedulers)).c_str());
    std::printf("  for example: %s\n", printable(g.exemplar_file).c_str());
  }
}

// A cell of a table: no bar, no line break.
std::string cell(const std::string& text) {
  std::string out;
  for (char c : printable(text)) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

void print_markdown(const Triage& t) {
  std::printf("%zu files, %zu with a crash, %zu different bugs\n\n", t.files, t.with_crash, t.groups.size());
  std::printf(
      "| times | files | bug | class | first | last | kernels | schedulers | example "
      "|\n|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& [signature, g] : t.groups)
    std::printf("| %llu | %zu | %s | %s | %s | %s | %s | %s | %s |\n",
                static_cast<unsigned long long>(g.crashes), g.files.size(), cell(g.exemplar.summary).c_str(),
                g.exemplar.cls.c_str(), day(g.first).c_str(), day(g.last).c_str(),
                cell(joined(g.kernels)).c_str(), cell(joined(g.schedulers)).c_str(),
                cell(g.exemplar_file).c_str());
}

void print_json(const Triage& t) {
  OrderedJson out;
  out["files"] = t.files;
  out["with_crash"] = t.with_crash;
  out["unreadable"] = t.unreadable;
  out["bugs"] = OrderedJson::array();
  for (const auto& [signature, g] : t.groups) {
    OrderedJson bug;
    bug["signature"] = printable(signature);
    bug["class"] = g.exemplar.cls;
    bug["summary"] = printable(g.exemplar.summary);
    bug["crashes"] = g.crashes;
    bug["files"] = g.files.size();
    bug["rate"] = static_cast<double>(g.files.size()) / static_cast<double>(std::max<size_t>(t.files, 1));
    bug["first"] = day(g.first);
    bug["last"] = day(g.last);
    bug["kernels"] = g.kernels;
    bug["schedulers"] = g.schedulers;
    bug["example"] = printable(g.exemplar_file);
    out["bugs"].push_back(std::move(bug));
  }
  std::printf("%s\n", json_text(out).c_str());
}

}  // namespace

int triage_command(const TriageCommandOptions& options) {
  std::vector<std::string> files;
  for (const std::string& path : options.paths)
    if (auto found = collect(path, files); !found)
      return report_error(found.error(), exit_code(ExitCode::kUsage));
  std::map<std::string, Group> groups;
  Triage triage;
  triage.files = files.size();
  for (const std::string& file : files) {
    auto text = explain_file(file);
    if (!text) {
      ++triage.unreadable;
      continue;
    }
    if (!text->crashes.empty()) ++triage.with_crash;
    const time_t when = text->crashes.empty() ? 0 : time_of(file);
    for (Explanation& crash : text->crashes) {
      if (crash.cls == "fragment") continue;
      Group& g = groups[crash.signature];
      if (++g.crashes == 1) {
        g.first = g.last = when;
        g.exemplar_file = file;
      }
      g.first = std::min(g.first, when);
      g.last = std::max(g.last, when);
      g.files.insert(file);
      add_name(g.kernels, crash.kernel);
      add_name(g.schedulers, crash.ops);
      // The one that knows most is shown.
      if (g.exemplar.summary.empty() || crash.lacks.size() < g.exemplar.lacks.size()) {
        g.exemplar_file = file;
        g.exemplar = std::move(crash);
      }
    }
  }
  triage.groups.assign(std::make_move_iterator(groups.begin()), std::make_move_iterator(groups.end()));
  std::stable_sort(triage.groups.begin(), triage.groups.end(),
                   [](const auto& a, const auto& b) { return a.second.crashes > b.second.crashes; });
  if (options.format == "json") {
    print_json(triage);
  } else if (options.format == "md") {
    print_markdown(triage);
  } else {
    print_text(triage);
  }
  return 0;
}

}  // namespace ktstr
