// ktstr-launch attach RUN --name NAME --guest -- CMD…
//
// The guest holds next to no programs, so the host's go there: the program and its libraries, found as the
// guest's loader will look for them. They are left as a bundle of channel frames in the bus folder (0700:
// only this user can), and GuestCommandRequested tells the collector of it. So the log is not filled with
// libraries, and a client from elsewhere can run what is in the guest but cannot bring files. Limits:
// programs that load more at run time (interpreters with their modules, dlopen) need it in the guest.
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/text.h"
#include "base/unique_fd.h"
#include "launcher/cli/attach_parts.h"
#include "launcher/cli/guest_files.h"
#include "launcher/vm/program_files.h"
#include "schemas/client_generated.h"
#include "schemas/envelope.h"
#include "schemas/exit_code.h"
#include "schemas/frame_codec.h"
#include "schemas/guest_generated.h"
#include "schemas/guest_paths.h"
#include "schemas/limits.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr size_t kPiece = 256 << 10;
constexpr uint64_t kMaxFiles = 128u << 20;  // they take up the guest's memory
constexpr size_t kMaxName = 64;
constexpr size_t kMaxLacked = 16;

// One file as FileEmbedded frames.
Status append_file(const ProgramFile& file, const EventHead& head, std::ofstream& bundle) {
  std::ifstream in(file.host_path, std::ios::binary);
  std::vector<char> piece(kPiece);
  uint64_t offset = 0;
  do {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    FileEmbeddedT fact;
    fact.role = "command";
    fact.path = file.host_path;
    fact.guest_path = file.guest_path;
    fact.offset = offset;
    fact.mode = 0755;
    fact.data.assign(piece.begin(), piece.begin() + in.gcount());
    offset += static_cast<uint64_t>(in.gcount());
    std::vector<uint8_t> frame;
    append_frame(make_event(head, std::move(fact)).bytes(), frame);
    bundle.write(reinterpret_cast<const char*>(frame.data()), static_cast<std::streamsize>(frame.size()));
  } while (in);
  if (in.bad() || !in.eof()) return Error::system("cannot read " + file.host_path);
  return {};
}

// The program (empty: it is in the guest) with its libraries, and what --file names.
Status write_bundle(const std::string& program, const std::string& guest_path,
                    const std::vector<std::string>& more, const EventHead& head, const std::string& path) {
  Result<std::vector<ProgramFile>> files = std::vector<ProgramFile>();
  if (!program.empty()) files = collect_program_files(program, guest_path);
  if (!files) return std::move(files).error();
  uint64_t size = 0;
  std::error_code ec;
  for (const std::string& wanted : more) {
    auto found = collect_test_file(wanted, fs::absolute(wanted, ec).lexically_normal().string());
    if (!found) return std::move(found).error().within("--file");
    files->insert(files->end(), found->begin(), found->end());
  }
  for (const ProgramFile& file : *files) size += fs::file_size(file.host_path, ec);
  if (size > kMaxFiles)
    return Error::exhausted((program.empty() ? "the files" : program + " and its libraries") + " are " +
                            std::to_string(size >> 20) + " MiB; " + std::to_string(kMaxFiles >> 20) +
                            " go into a guest")
        .with_hint("link it statically, or strip it");
  // Renamed only once it is complete: the collector takes any file of that name.
  const std::string part = path + ".part";
  {
    std::ofstream bundle(part, std::ios::binary | std::ios::trunc);
    for (const ProgramFile& file : *files)
      if (auto s = append_file(file, head, bundle); !s) return s;
    if (!bundle.flush()) return Error::from_errno("write " + part);
  }
  if (::rename(part.c_str(), path.c_str()) != 0) return Error::from_errno("write " + path);
  return {};
}

struct Ended {
  uint64_t lines = 0;
  int code = 0;
  std::set<std::string> lacked;  // files that it said it could not find
};

// Ctrl-C ends the command in the guest, not only our listening; a second one makes it end.
UniqueFd catch_interrupts() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, s);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  return UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

Status pass_on_interrupts(int signal_fd, const std::string& name, Vm vm, Client& client) {
  signalfd_siginfo info;
  if (::read(signal_fd, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return {};
  GuestCommandRequestedT stop;
  stop.name = name;
  stop.vm = vm;
  return client.publish(std::move(stop));
}

// Hears the command's lines and its end. Only what comes after our own request counts: a command of this name
// may have run before.
Result<Ended> follow(const std::string& name, Vm vm, int signal_fd, FetchedFiles& fetched, Client& client) {
  Ended ended;
  bool asked = false, fetch_failed = false;
  while (true) {
    if (auto told = pass_on_interrupts(signal_fd, name, vm, client); !told) return std::move(told).error();
    auto event = client.next(milliseconds(200));
    if (!event) return std::move(event).error();
    if (!*event) {
      if (!client.run_alive()) return Error::system("the run ended before the command did");
      continue;
    }
    if (auto* request = (*event)->as<GuestCommandRequested>(); request && (*event)->source() == name)
      asked = true;
    if (!asked) continue;
    if (auto* line = (*event)->as<CollectorLine>(); line && str(line->name()) == name) {
      ++ended.lines;
      std::FILE* to = line->stream() == OutputStream::Stderr ? stderr : stdout;
      std::fprintf(to, "%s\n", printable(str(line->text())).c_str());
      std::fflush(to);
      if (std::string lacked = lacked_file(str(line->text()));
          !lacked.empty() && ended.lacked.size() < kMaxLacked)
        ended.lacked.insert(std::move(lacked));
    }
    if (auto* piece = (*event)->as<GuestFileSent>(); piece && str(piece->name()) == name)
      if (auto s = fetched.take(*piece); !s) {
        std::fprintf(stderr, "error: --fetch: %s\n", printable(s.error().message()).c_str());
        fetch_failed = true;
      }
    if (auto* exit = (*event)->as<GuestCommandExited>(); exit && str(exit->name()) == name) {
      if (exit->error() && exit->pid() == 0) return Error::invalid(printable(str(exit->error())));
      if (exit->error()) std::fprintf(stderr, "note: %s\n", printable(str(exit->error())).c_str());
      ended.code = exit->signal() ? 128 + exit->signal() : exit->exit_code();
      if (ended.code == 0 && (fetch_failed || !fetched.missing().empty())) ended.code = kInfra;
      return ended;
    }
    if ((*event)->as<RunFinished>()) return Error::system("the run ended before the command did");
  }
}

// The guest holds next to nothing: what a program lacks there is often on this host.
void tell_lacked(const std::set<std::string>& lacked, bool remote) {
  for (const std::string& path : lacked) {
    const bool here = !remote && path[0] == '/' && ::access(path.c_str(), R_OK) == 0;
    std::fprintf(stderr, "note: the command lacked %s in the guest%s\n", printable(path).c_str(),
                 here ? "; this host has it: --file brings it there" : "");
  }
}

}  // namespace

int attach_in_guest(const AttachCommandOptions& options, Client& client) {
  const std::string& name = options.name;
  const bool plain =
      name.size() <= kMaxName && name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
      });
  if (!plain)
    return report_error(
        Error::invalid("--name of a command in the guest takes letters, digits, '_', '-' and '.'"), kUsage);
  GuestCommandRequestedT request;
  request.name = name;
  request.argv = options.command;
  request.vm = options.vm == "repro" ? Vm::Repro : Vm::Primary;
  std::vector<FetchWish> wishes;
  for (const std::string& text : options.fetch) {
    auto wish = parse_fetch(text);
    if (!wish) return report_error(wish.error(), kUsage);
    request.fetch.push_back(wish->guest_path);
    wishes.push_back(std::move(*wish));
  }
  if (wishes.size() > kMaxFetched)
    return report_error(Error::invalid("--fetch: " + std::to_string(kMaxFetched) + " files at most"), kUsage);
  // What is not on the host may be in the guest: /ktstr/sched/…, a payload. Nothing can be brought to a VM on
  // another machine.
  const bool remote = !client.run().endpoint.empty();
  const std::string wanted = options.command.empty() ? "" : options.command[0];
  const std::string program = remote || wanted.empty() ? "" : find_program(wanted, env_value("PATH"));
  if (remote && !options.files.empty())
    return report_error(Error::unsupported("--file: nothing can be brought to another machine's VM"), kUsage);
  if (program.empty() && !wanted.empty() && wanted[0] != '/')
    return report_error(
        Error::not_found(wanted +
                         (remote ? " cannot be brought to another machine's VM" : " is not on this host"))
            .with_hint("a program that is only in the guest is named by its absolute path there"),
        kUsage);
  if (!program.empty()) request.argv[0] = kGuestCommands + name + "/" + fs::path(program).filename().string();
  if (!program.empty() || !options.files.empty()) {
    EventHead head{.run_id = client.run().run_id, .source = name};
    if (auto s = write_bundle(program, program.empty() ? "" : request.argv[0], options.files, head,
                              client.run().bus + "/guest." + name + ".bundle");
        !s)
      return report_error(s.error(), kUsage);
  }
  UniqueFd signals = catch_interrupts();
  const Vm vm = request.vm;
  if (auto s = client.publish(std::move(request)); !s) return report_error(s.error(), kInfra);
  FetchedFiles fetched(std::move(wishes));
  auto ended = follow(name, vm, signals.get(), fetched, client);
  if (!ended) return report_error(ended.error(), kInfra);
  for (const std::string& line : fetched.done())
    std::fprintf(stderr, "fetched %s\n", printable(line).c_str());
  for (const std::string& path : fetched.missing())
    std::fprintf(stderr, "error: --fetch: %s did not come\n", printable(path).c_str());
  if (ended->code != 0) tell_lacked(ended->lacked, remote);
  std::fprintf(stderr, "%llu lines into %s as %s, from the guest\n",
               static_cast<unsigned long long>(ended->lines), client.run().run_id.c_str(), name.c_str());
  return ended->code;
}

}  // namespace ktstr
