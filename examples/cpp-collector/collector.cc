// An extra collector for ktstr in C++: the pressure that the host is under into a live run, its crashes onto
// the screen.
//   my_collector [RUN]        (finds runs with ktstr-launch in PATH or $KTSTR_LAUNCH; waits ten seconds for
//   one)
#include <ktstr/client.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace {

std::string cpu_pressure() {
  std::ifstream file("/proc/pressure/cpu");
  std::string line;
  return std::getline(file, line) ? "cpu pressure: " + line : "this kernel tells no pressure";
}

int fail(const ktstr::Error& error) {
  std::fprintf(stderr, "error: %s\n", error.to_string().c_str());
  return error.kind() == ktstr::ErrorKind::kNotFound ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  auto run = ktstr::find_run(argc > 1 ? argv[1] : "latest", {.patience = std::chrono::seconds(10)});
  if (!run) return fail(run.error());
  auto client = ktstr::Client::connect(*run, {.name = "pressure"});
  if (!client) return fail(client.error());

  auto due = std::chrono::steady_clock::now();
  while (true) {
    if (std::chrono::steady_clock::now() >= due) {
      if (auto sent = client->line(cpu_pressure()); !sent) return fail(sent.error());
      due += std::chrono::seconds(1);
    }
    auto event = client->next(std::chrono::milliseconds(100));
    if (!event) return fail(event.error());
    if (!*event) {
      if (!client->run_alive()) return 0;
    } else if (auto* crash = (*event)->as<ktstr::CrashDetected>()) {
      std::printf("crash: %s\n", crash->message() ? crash->message()->c_str() : "");
    } else if (auto* finished = (*event)->as<ktstr::RunFinished>()) {
      std::printf("run finished, exit code %d, %llu events\n", finished->exit_code(),
                  static_cast<unsigned long long>((*event)->seq()));
      return 0;
    }
  }
}
