// Asks the running scheduler for its statistics once a second, and prints each answer as a line of JSON.
//
// Schedulers that use the crate scx_stats listen on a Unix socket. One request and one answer are a line of JSON each:
//   {"req":"stats","args":{"target":"top"}}   ->   {"errno":0,"args":{"resp":{"nr_running":3,…}}}
// In the VM of a run:
//   ktstr-launch attach latest --name stats --guest --metrics -- build/guest-scx-stats
//
// Usage: guest-scx-stats [--target NAME] [--socket PATH] [--interval SECONDS] [--count N]
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr size_t kMaxAnswer = 1u << 20;
constexpr int kAnswerMs = 10'000;

struct Options {
  std::string target = "top", socket = "/var/run/scx/root/stats";
  double interval_s = 1;
  long count = 0;  // answers; 0: until the scheduler is gone
};

int fail(const std::string& what) {
  std::fprintf(stderr, "guest-scx-stats: %s\n", what.c_str());
  return 1;
}

// -1 with errno. The socket is there once the scheduler has begun; this may have begun before it.
int connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

bool write_line(int fd, const std::string& line) {
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::send(fd, line.data() + done, line.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

// Up to the line's end; empty: the scheduler is gone, does not answer, or says too much.
std::string read_line(int fd) {
  std::string line;
  while (line.size() < kMaxAnswer) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, kAnswerMs) <= 0) return {};
    char chunk[4096];
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return {};
    line.append(chunk, static_cast<size_t>(n));
    if (line.back() == '\n') return line;
  }
  return {};
}

void pause_for(double seconds) { ::poll(nullptr, 0, static_cast<int>(seconds * 1000)); }

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--target") options.target = argv[i + 1];
    if (name == "--socket") options.socket = argv[i + 1];
    if (name == "--interval") options.interval_s = std::atof(argv[i + 1]);
    if (name == "--count") options.count = std::atol(argv[i + 1]);
  }
  int fd = -1;
  for (int tries = 0; (fd = connect_to(options.socket)) < 0; ++tries) {
    if ((errno != ENOENT && errno != ECONNREFUSED) || tries >= 300)
      return fail(options.socket + ": " + std::strerror(errno) +
                  "; the scheduler has no such socket (not every one uses scx_stats)");
    pause_for(0.2);
  }
  const std::string request = R"({"req":"stats","args":{"target":")" + options.target + "\"}}\n";
  for (long answers = 0; options.count == 0 || answers < options.count; ++answers) {
    if (answers != 0) pause_for(options.interval_s);
    if (!write_line(fd, request)) return answers == 0 ? fail("the scheduler closed the connection") : 0;
    const std::string line = read_line(fd);
    if (line.empty()) return answers == 0 ? fail("the scheduler did not answer") : 0;
    // What counts is in "resp"; errors come there, too, as text.
    const size_t resp = line.find("\"resp\":");
    const bool good = line.find("\"errno\":0") != std::string::npos && resp != std::string::npos;
    if (!good) return fail("the scheduler refused: " + line);
    const size_t begin = line.find('{', resp),
                 end = line.rfind('}', line.rfind('}', line.rfind('}') - 1) - 1);
    if (begin == std::string::npos || end == std::string::npos || end < begin)
      return fail("no numbers in " + line);
    std::printf("%s\n", line.substr(begin, end - begin + 1).c_str());
    std::fflush(stdout);
  }
  return 0;
}
