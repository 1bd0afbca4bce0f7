#include "tests/e2e/harness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "schemas/log_reader.h"

namespace ktstr::e2e {
namespace {

namespace fs = std::filesystem;

}  // namespace

Scratch::Scratch() {
  char name[] = "/tmp/ktstr-e2e-XXXXXX";
  path_ = mkdtemp(name);
}

Scratch::~Scratch() {
  if (testing::Test::HasFailure()) {
    std::fprintf(stderr, "evidence kept in %s\n", path_.c_str());
    return;
  }
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Scratch::write(const std::string& name, const std::string& content) const {
  std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

Running::Running(const Scratch& scratch, std::vector<std::string> argv, std::vector<std::string> env) {
  static int n = 0;
  out_path_ = scratch.path() + "/stdout-" + std::to_string(++n);
  err_path_ = scratch.path() + "/stderr-" + std::to_string(n);
  UniqueFd out(::open(out_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  UniqueFd err(::open(err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  std::string line;
  for (const auto& a : argv) line += a + " ";
  scratch.write("command-" + std::to_string(n), line + "\n");
  // What shapes a report is the test's own, whatever the machine has set; runs that the user keeps are no concern of a test.
  for (const std::string& set :
       {std::string("RUST_BACKTRACE="), std::string("KTSTR_VERBOSE="), std::string("KTSTR_KERNEL="),
        "XDG_STATE_HOME=" + scratch.path() + "/state"}) {
    const std::string name = set.substr(0, set.find('=') + 1);
    if (std::none_of(env.begin(), env.end(), [&](const std::string& e) { return e.starts_with(name); }))
      env.push_back(set);
  }
  auto child = Child::spawn(
      {.argv = std::move(argv), .env = std::move(env), .stdout_fd = out.get(), .stderr_fd = err.get()});
  if (!child)
    ADD_FAILURE() << child.error().message();
  else
    child_ = std::move(child).value();
}

std::string Running::err() const { return read_file(err_path_); }

RunOutput Running::finish(std::chrono::milliseconds limit) {
  if (!exit_) exit_ = child_.wait(limit);
  RunOutput output;
  if (exit_) {
    output.exit_code = exit_->signal ? 128 + exit_->signal : exit_->exit_code;
  } else {
    ADD_FAILURE() << "still running after " << limit.count() / 1000 << " s: killed";
    child_.terminate(std::chrono::milliseconds(5000));
  }
  output.out = read_file(out_path_);
  output.err = read_file(err_path_);
  return output;
}

std::vector<std::string> launch_argv(std::vector<std::string> args) {
  args.insert(args.begin(), std::string(KTSTR_BIN) + "/ktstr-launch");
  return args;
}

RunOutput launch(const Scratch& scratch, std::vector<std::string> args, std::vector<std::string> env) {
  Running running(scratch, launch_argv(std::move(args)), std::move(env));
  return running.finish();
}

std::string host_was_too_busy(const RunOutput& run) {
  const std::string first = run.out.substr(0, run.out.find('\n'));
  return run.exit_code == 4 && first.find("no verdict: the host ran") != std::string::npos ? first : "";
}

RunOutput launch_until_judged(const Scratch& scratch, const std::vector<std::string>& args,
                              const std::string& out) {
  RunOutput run;
  for (int tries = 0; tries < 3; ++tries) {
    if (tries > 0) std::filesystem::remove_all(out);
    run = launch(scratch, args);
    if (host_was_too_busy(run).empty()) break;
  }
  return run;
}

std::string spec_text(const SpecText& spec) {
  std::ostringstream s;
  if (!spec.scheduler.empty())
    s << "[scheduler.s]\nbinary = \"" << spec.scheduler << "\"\nargs = [" << spec.args << "]\n\n";
  s << "[[test]]\nname = \"" << spec.name << "\"\n";
  if (!spec.scheduler.empty()) s << "scheduler = \"s\"\n";
  s << "llcs = 1\ncores = " << spec.cores << "\nthreads = 1\nduration_s = " << spec.duration_s << "\n"
    << spec.test << "\n  [[test.cgroup]]\n  name = \"cg_0\"\n  workers = " << spec.workers << "\n  work = \""
    << spec.work << "\"\n";
  return s.str();
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<EventBuffer> read_log(const std::string& path) {
  std::vector<EventBuffer> events;
  auto reader = LogReader::open(path);
  if (!reader) {
    ADD_FAILURE() << reader.error().message();
    return events;
  }
  while (true) {
    auto event = reader->next();
    if (!event || !*event) return events;
    events.push_back(std::move(**event));
  }
}

std::vector<std::string> sections(const std::string& report) {
  std::vector<std::string> out;
  std::istringstream in(report);
  static const std::regex title("^--- ([a-z_ -]+) ---$");
  for (std::string line; std::getline(in, line);) {
    std::smatch m;
    if (std::regex_match(line, m, title)) out.push_back(m[1]);
  }
  return out;
}

bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

std::vector<std::string> processes_with(const std::string& text, const std::string& also) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == std::to_string(getpid())) continue;
    std::string cmdline = read_file(entry.path() / "cmdline");
    for (char& c : cmdline)
      if (c == '\0') c = ' ';
    if (cmdline.find(text) != std::string::npos && cmdline.find(also) != std::string::npos)
      found.push_back(pid + " " + cmdline);
  }
  return found;
}

std::string join(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

}  // namespace ktstr::e2e
