#include "launcher/cli/documents.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/child.h"
#include "base/json.h"
#include "base/small_files.h"
#include "launcher/bundle/bundle_file.h"
#include "launcher/run/run_session.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostRecordedFiles = 100'000;

bool is_plan(const fs::path& path) {
  return path.filename().string().starts_with("plan-") && path.extension() == ".json";
}

// Names that hold any character but NUL, and more of them than a command line takes.
Result<UniqueFd> list_file(const std::vector<std::string>& names) {
  UniqueFd fd(::memfd_create("ktstr-logs", MFD_CLOEXEC));
  if (!fd) return Error::from_errno("memfd_create");
  std::string text;
  for (const std::string& name : names) text += name + '\0';
  if (auto s = write_all(fd.get(), text, "write the list of logs"); !s) return std::move(s).error();
  return fd;
}

}  // namespace

Result<std::string> write_plan(const RunEnvironment& environment, const TestPlan& plan,
                               const std::vector<size_t>& order) {
  OrderedJson tests = OrderedJson::array();
  for (size_t i : order) {
    const TestSpecT& spec = plan.tests[i].test.spec;
    tests.push_back({{"name", spec.name},
                     {"file", spec.file},
                     {"line", spec.line},
                     {"kernel", plan.kernels[plan.tests[i].kernel].release}});
  }
  const OrderedJson json = {{"version", 1},
                            {"run_id", environment.folders.run_id},
                            {"partition", environment.partition},
                            {"tests", std::move(tests)}};
  const std::string path = environment.artifacts + "/plan-" + environment.folders.run_id + ".json";
  if (auto s = write_file_atomically(path, json_text(json, 1) + "\n"); !s) return std::move(s).error();
  return path;
}

Result<RecordedFiles> recorded_files(const std::vector<std::string>& paths) {
  RecordedFiles out;
  std::set<std::string> known;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      if (!fs::exists(path, error)) return Error::not_found(path + ": No such file or directory");
      if (!known.insert(path).second) continue;
      if (looks_like_bundle(path)) {
        auto log = log_of_bundle(path);
        if (!log) return std::move(log).error();
        out.logs.push_back("/proc/self/fd/" + std::to_string(log->get()));
        out.unpacked.push_back(std::move(*log));
        continue;
      }
      (is_plan(path) ? out.plans : out.logs).push_back(path);
      continue;
    }
    std::vector<std::string> found;
    fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error), end;
    for (; !error && at != end && found.size() < kMostRecordedFiles; at.increment(error)) {
      std::error_code bad;
      if (!at->is_regular_file(bad)) continue;
      if (at->path().filename() == "events.ktlog" || is_plan(at->path()))
        found.push_back(at->path().string());
    }
    if (error) return Error::system(path + ": " + error.message());
    if (found.empty())
      return Error::not_found(path + ": no log below this folder")
          .with_hint("run --out DIR leaves NAME/events.ktlog in DIR");
    std::sort(found.begin(), found.end());
    for (std::string& file : found)
      if (known.insert(file).second) (is_plan(file) ? out.plans : out.logs).push_back(std::move(file));
  }
  return out;
}

Result<int> run_reporter(const ReporterRequest& request) {
  auto list = list_file(request.files.logs);
  if (!list) return std::move(list).error();
  std::vector<std::string> args = {program_folder() + "/ktstr-reporter", "--format", request.format,
                                   "--log-list", "/proc/self/fd/" + std::to_string(list->get())};
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) args.insert(args.end(), {flag, value});
  };
  for (const std::string& plan : request.files.plans) add("--plan", plan);
  add("--junit", request.documents.junit);
  add("--json", request.documents.json);
  add("--ktap", request.documents.ktap);
  add("--markdown", request.documents.markdown);
  add("--html", request.documents.html);
  add("--append-markdown", request.append_markdown);
  if (request.annotate) add("--github", "-");
  if (request.merge) add("--merge", "1");
  if (request.until != 0) add("--until", std::to_string(request.until));
  add("--report-file", request.report_file);
  std::vector<int> kept = {list->get()};
  for (const UniqueFd& fd : request.files.unpacked) kept.push_back(fd.get());
  auto reporter =
      Child::spawn({.argv = args, .keep_fds = kept, .stdout_fd = request.stdout_fd, .own_session = false});
  if (!reporter) return std::move(reporter).error();
  while (true) {
    if (auto exit = reporter->wait(std::chrono::hours(1)))
      return exit->signal == 0 ? Result<int>(exit->exit_code)
                               : Error::system("ktstr-reporter: " + exit->to_string());
  }
}

}  // namespace ktstr
