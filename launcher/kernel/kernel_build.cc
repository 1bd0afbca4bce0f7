#include "launcher/kernel/kernel_build.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "base/child.h"
#include "base/sha256.h"
#include "base/small_files.h"
#include "base/text.h"
#include "base/wording.h"
#include "launcher/kernel/kernel_fragment.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours kBuildLimit{24};
constexpr size_t kMaxConfigBytes = 4 << 20;
constexpr size_t kMaxErrorLines = 8;

void say(const BuildRequest& request, const std::string& line) {
  if (request.progress) request.progress(line);
}

// Less the empty piece after a separator at the end.
std::vector<std::string_view> pieces(std::string_view text, char separator = '\n') {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string sha256_of(const std::string& text) {
  Sha256 sha;
  sha.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return sha.hex();
}

// "CONFIG_X" of either form of line; empty: neither.
std::string option_of(std::string_view line) {
  constexpr std::string_view kNot = " is not set";
  std::string_view name;
  if (line.starts_with("# CONFIG_") && line.ends_with(kNot))
    name = line.substr(2, line.size() - 2 - kNot.size());
  else if (const size_t equals = line.find('='); line.starts_with("CONFIG_") && equals != line.npos)
    name = line.substr(0, equals);
  const bool good =
      name.size() > 7 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
      });
  return good ? std::string(name) : "";
}

std::vector<std::string> own_options(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string_view line : pieces(text)) lines.emplace_back(line);
  return lines;
}

std::string listed(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

// What make said about its end: lines with "error" and what make itself objects to ("*** No rule to make target"), without the
// "Error 2" of each make that called another; else the last lines.
std::string error_lines(const std::string& log) {
  std::vector<std::string> errors, last;
  auto read = read_text(log, size_t{64} << 20);
  const std::string text = read ? std::move(*read) : "";
  for (std::string_view line : pieces(text)) {
    const bool of_caller = line.find("] Error ") != line.npos;
    const bool objects = line.find("rror") != line.npos || line.find("*** ") != line.npos;
    if (objects && !of_caller && errors.size() < kMaxErrorLines) errors.emplace_back(line.substr(0, 300));
    if (!trim(line).empty()) last.emplace_back(line.substr(0, 300));
    if (last.size() > kMaxErrorLines) last.erase(last.begin());
  }
  return listed(errors.empty() ? last : errors);
}

class Build {
 public:
  Build(const KernelCache& cache, const BuildRequest& request, const BuildHost& host)
      : built_(built_kernels(cache)), request_(request), host_(host) {}

  Result<BuiltKernel> run() {
    std::error_code ec;
    const fs::path tree = fs::canonical(request_.tree, ec);
    if (ec || !fs::exists(tree / "Kconfig", ec) || !fs::exists(tree / "Makefile", ec))
      return Error::invalid(request_.tree + ": is no kernel source tree")
          .with_hint("give the folder that holds Kconfig and Makefile");
    tree_ = tree.string();
    if (fs::exists(tree / ".config", ec) || fs::exists(tree / "include/config", ec))
      return Error::invalid(tree_ + ": is configured in place, and a build beside it needs a clean tree")
          .with_hint(
              "run `make mrproper` in it (it removes .config), or `make bzImage vmlinux`, and give "
              "--kernel " +
              tree_);
    if (auto read = read_options(); !read) return std::move(read).error();
    const TreeState state = tree_state(tree_, host_);
    key_ = sha256_of(request_.base + "\n" + joined_options()).substr(0, 12);
    if (state.changes.empty()) {
      if (auto entry = kept(state.commit)) return *entry;
    }
    if (auto tools = check_tools(); !tools) return std::move(tools).error();
    auto lock = built_.lock([&] { say(request_, "waiting for another build to finish"); });
    if (!lock) return std::move(lock).error();
    if (state.changes.empty()) {
      if (auto entry = kept(state.commit)) return *entry;  // the other one was this one
    }
    folder_ = built_.dir() + "/.make-" + sha256_of(tree_).substr(0, 16);
    fs::create_directories(folder_, ec);
    if (ec) return Error::system("cannot create " + folder_ + ": " + ec.message());
    log_ = folder_ + "/build.log";
    fs::remove(log_, ec);
    release_suffix_ =
        "-ktstr-" + (state.changes.empty() ? state.commit.substr(0, 12) : "changed") + "-" + key_;
    BuiltKernel built;
    built.not_kept = state.changes;
    if (auto done = configure(built); !done) return std::move(done).error();
    if (request_.configure_only) return built;
    if (auto done = compile(); !done) return std::move(done).error();
    return keep(std::move(built), state);
  }

 private:
  Status read_options() {
    needed_ = own_options(kNeededOptions);
    wished_ = own_options(kWishedOptions);
    older_ = own_options(kOlderOptions);
    if (request_.fragment.empty()) return {};
    auto text = read_text(request_.fragment, kMaxConfigBytes);
    if (!text) return std::move(text).error().within("--kconfig");
    auto lines = read_fragment(*text, request_.fragment);
    if (!lines) return std::move(lines).error();
    users_ = std::move(*lines);
    // The user's word is the last one; what ktstr cannot do without is not for the user to take away.
    std::set<std::string> theirs;
    for (const std::string& line : users_) theirs.insert(option_of(line));
    std::erase_if(wished_, [&](const std::string& line) { return theirs.contains(option_of(line)); });
    for (const std::string& line : needed_)
      for (const std::string& other : users_)
        if (option_of(line) == option_of(other) && line != other)
          return Error::invalid(request_.fragment + ": " + other + ", and ktstr needs " + line)
              .with_hint("take the line out");
    return {};
  }

  std::string joined_options() const {
    std::string text;
    for (const auto* list : {&older_, &wished_, &needed_, &users_})
      for (const std::string& line : *list) text += line + "\n";
    return text;
  }

  std::optional<BuiltKernel> kept(const std::string& commit) const {
    auto all = built_.list();
    if (!all || commit.empty()) return std::nullopt;
    const std::string suffix = "-ktstr-" + commit.substr(0, 12) + "-" + key_;
    for (const CachedKernel& kernel : *all)
      if (kernel.release.ends_with(suffix))
        return BuiltKernel{.image = kernel.image,
                           .config = kernel.dir + "/config",
                           .release = kernel.release,
                           .from_cache = true,
                           .not_kept = {},
                           .without = {}};
    return std::nullopt;
  }

  Status check_tools() const {
    constexpr std::pair<const char*, const char*> kTools[] = {{"make", "make"}, {"gcc", "gcc"},
                                                              {"flex", "flex"}, {"bison", "bison"},
                                                              {"bc", "bc"},     {"pahole", "pahole"}};
    std::string missing, packages;
    for (const auto& [program, package] : kTools) {
      if (host_.has(program)) continue;
      missing += (missing.empty() ? "" : ", ") + std::string(program);
      packages += " " + std::string(package);
    }
    if (missing.empty()) return {};
    return Error::unsupported("a kernel build needs programs that this host lacks: " + missing)
        .with_hint("apt-get install" + packages + " libelf-dev libssl-dev");
  }

  Status make(std::vector<std::string> words, const char* what) {
    words.insert(words.begin(), {"make", "-C", tree_, "O=" + folder_, "LOCALVERSION=" + release_suffix_});
    auto ran = host_.run(
        {.argv = std::move(words), .env = {"LC_ALL=C", "KBUILD_BUILD_USER=ktstr"}, .cwd = {}}, log_);
    if (!ran) return std::move(ran).error().within(what);
    if (ran->exit_code == 0) return {};
    return Error::system(std::string(what) + ": make ended with exit code " + std::to_string(ran->exit_code) +
                         error_lines(log_))
        .with_hint("all that it said: " + log_);
  }

  Status configure(BuiltKernel& built) {
    say(request_, "configuring " + tree_ + " (" + request_.base + ", then " +
                      std::to_string(needed_.size() + wished_.size() + users_.size()) + " options)");
    if (auto made = make({request_.base}, "configuration"); !made) return made;
    built.config = folder_ + "/.config";
    auto text = read_text(built.config, kMaxConfigBytes);
    if (!text) return std::move(text).error();
    // Of two lines for one option kconfig takes the last; it warns of each, so the first ones go.
    std::set<std::string> ours = {"CONFIG_LOCALVERSION_AUTO"};
    for (const auto* list : {&older_, &wished_, &needed_, &users_})
      for (const std::string& line : *list) ours.insert(option_of(line));
    std::string merged;
    for (std::string_view line : pieces(*text))
      if (!ours.contains(option_of(line))) merged += std::string(line) + "\n";
    merged += "# CONFIG_LOCALVERSION_AUTO is not set\n" + joined_options();
    if (auto written = write_file_atomically(built.config, merged, {.sync = false}); !written) return written;
    if (auto made = make({"olddefconfig"}, "make olddefconfig"); !made) return made;
    text = read_text(built.config, kMaxConfigBytes);
    if (!text) return std::move(text).error();
    built.without = dropped_options(wished_, *text);
    std::vector<std::string> lost = dropped_options(needed_, *text);
    for (std::string& line : lost) line += ": ktstr needs it";
    for (const std::string& line : dropped_options(users_, *text))
      lost.push_back(line + ": " + request_.fragment + " asks for it");
    if (lost.empty()) return {};
    return Error::unsupported(tree_ + ": make olddefconfig dropped " + count_of(lost.size(), "option") +
                              listed(lost))
        .with_hint(
            "such an option depends on one that is off, or this tree has none of that name; the result is "
            "in " +
            built.config);
  }

  Status compile() {
    const unsigned jobs = request_.jobs ? request_.jobs : std::max(1u, std::thread::hardware_concurrency());
    say(request_, "building bzImage with " + count_of(jobs, "job") + "; this takes long (log: " + log_ + ")");
    return make({"-j" + std::to_string(jobs), "bzImage"}, "build");
  }

  Result<BuiltKernel> keep(BuiltKernel built, const TreeState& state) {
    const std::string image = folder_ + "/arch/x86/boot/bzImage";
    built.release = std::string(trim(read_text_or(folder_ + "/include/config/kernel.release", "")));
    if (!path_exists(image)) return Error::system("make built no " + image).with_hint("its log: " + log_);
    if (!state.changes.empty()) {
      built.image = image;
      return built;
    }
    auto staging = built_.make_staging();
    if (!staging) return std::move(staging).error();
    std::error_code ec;
    fs::copy_file(image, *staging + "/vmlinuz", ec);
    if (!ec) fs::copy_file(built.config, *staging + "/config", ec);
    if (!ec && path_exists(folder_ + "/vmlinux"))
      fs::copy_file(folder_ + "/vmlinux", *staging + "/vmlinux", ec);
    if (ec) return Error::exhausted("cannot copy the built kernel to " + *staging + ": " + ec.message());
    auto entry = built_.install(*staging, "built from " + state.commit + " in " + tree_);
    if (!entry) return std::move(entry).error();
    built.image = entry->image;
    built.config = entry->dir + "/config";
    built.release = entry->release;
    return built;
  }

  KernelCache built_;
  const BuildRequest& request_;
  const BuildHost& host_;
  std::string tree_, folder_, log_, key_, release_suffix_;
  std::vector<std::string> needed_, older_, wished_, users_;
};

}  // namespace

TreeState tree_state(const std::string& tree, const BuildHost& host) {
  TreeState state;
  auto git = [&](std::vector<std::string> words) -> std::optional<std::string> {
    words.insert(words.begin(), {"git", "-C", tree});
    auto ran = host.run({.argv = std::move(words), .env = {"LC_ALL=C"}, .cwd = {}}, "");
    if (!ran || ran->exit_code != 0) return std::nullopt;
    return std::string(trim(ran->out));
  };
  // The tree must be the repository's own: a tarball that was unpacked inside of another repository is none.
  std::error_code ec;
  const auto top = git({"rev-parse", "--show-toplevel"});
  if (!top || fs::canonical(*top, ec) != fs::canonical(tree, ec)) {
    state.changes = "the tree is not under git, so nobody can say what it holds";
    return state;
  }
  const auto commit = git({"rev-parse", "HEAD"});
  const auto status = git({"status", "--porcelain", "--untracked-files=normal"});
  if (!commit || !status) {
    state.changes = "git does not say which commit the tree holds";
    return state;
  }
  state.commit = *commit;
  const size_t files = pieces(*status).size();
  if (!status->empty()) state.changes = count_of(files, "file") + " of the tree differ from its commit";
  return state;
}

Result<BuiltKernel> build_kernel(const KernelCache& cache, const BuildRequest& request,
                                 const BuildHost& host) {
  return Build(cache, request, host).run();
}

KernelCache built_kernels(const KernelCache& cache) { return KernelCache(cache.dir() + "/.built"); }

std::optional<CachedKernel> built_from(const KernelCache& cache, const std::string& commit) {
  auto all = built_kernels(cache).list();
  std::optional<CachedKernel> newest;
  if (!all || commit.empty()) return newest;
  for (CachedKernel& kernel : *all) {
    if (kernel.release.find("-ktstr-" + commit.substr(0, 12) + "-") == std::string::npos) continue;
    if (!newest || newest->fetched < kernel.fetched) newest = std::move(kernel);
  }
  return newest;
}

Result<std::vector<std::string>> read_fragment(const std::string& text, const std::string& what) {
  std::vector<std::string> lines;
  std::map<std::string, size_t> places;
  size_t number = 0;
  for (std::string_view raw : pieces(text)) {
    ++number;
    const std::string line(trim(raw));
    const std::string option = option_of(line);
    if (option.empty() && (line.empty() || line.starts_with("#"))) continue;
    if (option.empty())
      return Error::invalid(what + ":" + std::to_string(number) + ": " + in_quotes(line, 60) +
                            " is no option")
          .with_hint("write CONFIG_X=y, CONFIG_X=m, CONFIG_X=5, or # CONFIG_X is not set");
    // CONFIG_X=n is how people write it.
    const std::string kept = line == option + "=n" ? "# " + option + " is not set" : line;
    if (const auto known = places.find(option); known != places.end()) {
      lines[known->second] = kept;
    } else {
      places[option] = lines.size();
      lines.push_back(kept);
    }
  }
  return lines;
}

std::vector<std::string> dropped_options(const std::vector<std::string>& wanted, const std::string& config) {
  std::map<std::string, std::string, std::less<>> values;
  for (std::string_view line : pieces(config))
    if (std::string option = option_of(line); !option.empty()) values[std::move(option)] = line;
  std::vector<std::string> out;
  for (const std::string& line : wanted) {
    const auto found = values.find(option_of(line));
    const bool off = line.starts_with("#");
    if (found == values.end() ? off : found->second == line) continue;
    const std::string is = found == values.end() ? "absent"
                           : found->second.starts_with("#")
                               ? "not set"
                               : found->second.substr(found->second.find('=') + 1);
    out.push_back(line + " (it is: " + is + ")");
  }
  return out;
}

BuildHost real_build_host() {
  BuildHost host;
  host.run = [](const FetchCommand& command, const std::string& log) -> Result<CommandOutput> {
    ChildOptions options;
    options.argv = command.argv;
    options.env = command.env;
    options.own_session = false;  // Ctrl-C ends a long build, make's children too
    if (log.empty()) {
      // What such a tool complains of (git: "not a git repository") is answered by what ktstr says itself.
      UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
      options.stderr_fd = nowhere.get();
      auto run = run_captured(std::move(options), kBuildLimit, false);
      if (!run) return std::move(run).error();
      return CommandOutput{run->exit.signal != 0 ? 128 + run->exit.signal : run->exit.exit_code,
                           std::move(run->out)};
    }
    UniqueFd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!out) return Error::from_errno("cannot open " + log);
    options.stdout_fd = options.stderr_fd = out.get();
    auto child = Child::spawn(options);
    if (!child) return std::move(child).error();
    auto end = child->wait(std::chrono::duration_cast<std::chrono::milliseconds>(kBuildLimit));
    if (!end) return Error::timeout(command.argv.front() + " did not end within a day");
    return CommandOutput{end->signal != 0 ? 128 + end->signal : end->exit_code, ""};
  };
  host.has = [](const std::string& program) {
    const char* path = std::getenv("PATH");
    for (std::string_view folder : pieces(path ? path : "/usr/bin:/bin", ':'))
      if (::access((std::string(folder) + "/" + program).c_str(), X_OK) == 0) return true;
    return false;
  };
  return host;
}

}  // namespace ktstr
