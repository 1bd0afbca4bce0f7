#include "runtime/qmp_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include "base/json.h"

namespace ktstr {
namespace {

using json = Json;

constexpr size_t kMaxMessage = 4u << 20;
constexpr size_t kMaxEvents = 256;

long long now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<UniqueFd> connect_once(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Error::invalid("socket path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno("socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return Error::from_errno("connect " + path);
  return fd;
}

// send(2), with a descriptor where one is given.
ssize_t send_part(int socket, std::string_view text, int pass_fd) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (pass_fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &pass_fd, sizeof pass_fd);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

std::string reason_of(const json& event) {
  const auto data = event.find("data");
  return data != event.end() && data->is_object() && data->contains("reason") && (*data)["reason"].is_string()
             ? (*data)["reason"].get<std::string>()
             : "";
}

}  // namespace

Result<QmpClient> QmpClient::connect(const std::string& socket_path, int timeout_ms) {
  long long deadline = now_ms() + timeout_ms;
  for (;;) {
    auto fd = connect_once(socket_path);
    if (fd) {
      QmpClient client(std::move(*fd), timeout_ms);
      if (auto s = client.negotiate(deadline); !s) return std::move(s).error();
      return client;
    }
    bool not_yet = errno == ENOENT || errno == ECONNREFUSED;
    if (!not_yet) return std::move(fd).error().within("QMP");
    if (now_ms() >= deadline) return Error::timeout("QMP: no QEMU answers on " + socket_path);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Result<QmpClient> QmpClient::over(UniqueFd socket, int timeout_ms) {
  QmpClient client(std::move(socket), timeout_ms);
  if (auto s = client.negotiate(now_ms() + timeout_ms); !s) return std::move(s).error();
  return client;
}

Status QmpClient::negotiate(long long deadline_ms) {
  auto greeting = read_message(deadline_ms);
  if (!greeting) return std::move(greeting).error().within("QMP greeting");
  auto accepted = execute("qmp_capabilities");
  if (!accepted) return std::move(accepted).error();
  return {};
}

Result<std::string> QmpClient::read_message(long long deadline_ms) {
  for (;;) {
    size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    if (buffer_.size() > kMaxMessage) return Error::exhausted("QMP: a message over 4 MiB");
    long long left = deadline_ms - now_ms();
    pollfd p{fd_.get(), POLLIN, 0};
    int ready = left > 0 ? ::poll(&p, 1, static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Error::from_errno("QMP: poll");
    if (ready == 0) return Error::timeout("QMP: QEMU did not answer in time");
    char chunk[16384];
    ssize_t n = ::read(fd_.get(), chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("QMP: read");
    if (n == 0) return Error::system("QMP: QEMU has ended");
    buffer_.append(chunk, static_cast<size_t>(n));
  }
}

Result<std::string> QmpClient::execute(const std::string& command, const std::string& arguments,
                                       int pass_fd) {
  long long deadline = now_ms() + timeout_ms_;
  json request = {{"execute", command}};
  if (!arguments.empty()) {
    json parsed = parse_json(arguments);
    if (!parsed.is_object()) return Error::invalid("QMP " + command + ": arguments are not a JSON object");
    request["arguments"] = std::move(parsed);
  }
  std::string text = json_text(request) + "\n";
  for (size_t done = 0; done < text.size();) {
    ssize_t n = send_part(fd_.get(), std::string_view(text).substr(done), done == 0 ? pass_fd : -1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("QMP " + command);
    done += static_cast<size_t>(n);
  }
  for (;;) {
    auto line = read_message(deadline);
    if (!line) return std::move(line).error().within(command);
    json message = parse_json(*line);
    if (!message.is_object()) return Error::invalid("QMP " + command + ": QEMU's answer is not JSON");
    if (auto it = message.find("event"); it != message.end() && it->is_string()) {
      keep_event(it->get<std::string>(), reason_of(message));
    } else if (auto value = message.find("return"); value != message.end()) {
      return json_text(*value);
    } else if (auto error = message.find("error"); error != message.end() && error->is_object()) {
      return Error::invalid("QMP " + command + ": " + error->value("desc", "refused"));
    }
  }
}

Result<std::string> QmpClient::query_status() {
  auto answer = execute("query-status");
  if (!answer) return answer;
  json value = parse_json(*answer);
  if (!value.is_object() || !value.contains("status") || !value["status"].is_string()) {
    return Error::invalid("QMP query-status: answer without a status");
  }
  return value["status"].get<std::string>();
}

Status QmpClient::stop() {
  auto answer = execute("stop");
  return answer ? Status() : Status(std::move(answer).error());
}

Status QmpClient::cont() {
  auto answer = execute("cont");
  return answer ? Status() : Status(std::move(answer).error());
}

Status QmpClient::quit() {
  auto answer = execute("quit");
  if (!answer && answer.error().kind() != ErrorKind::kSystem) return std::move(answer).error();
  return {};
}

void QmpClient::keep_event(std::string name, const std::string& reason) {
  if (name == "SHUTDOWN" && !reason.empty()) name += " " + reason;
  if (events_.size() < kMaxEvents) events_.push_back(std::move(name));
}

Status QmpClient::look() {
  char chunk[16384];
  for (pollfd ready{fd_.get(), POLLIN, 0}; ::poll(&ready, 1, 0) == 1;) {
    const ssize_t n = ::read(fd_.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error::system("QMP: QEMU has ended");
    buffer_.append(chunk, static_cast<size_t>(n));
    if (buffer_.size() > kMaxMessage) return Error::exhausted("QMP: a message over 4 MiB");
  }
  for (size_t end; (end = buffer_.find('\n')) != std::string::npos; buffer_.erase(0, end + 1)) {
    const json message = parse_json(buffer_.substr(0, end));
    if (!message.is_object()) continue;
    if (auto it = message.find("event"); it != message.end() && it->is_string())
      keep_event(it->get<std::string>(), reason_of(message));
  }
  return {};
}

std::vector<std::string> QmpClient::take_events() { return std::exchange(events_, {}); }

}  // namespace ktstr
