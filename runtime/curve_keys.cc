#include "runtime/curve_keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <zmq.hpp>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kZ85 = 40;

struct Pair {
  std::string own_public, own_secret;
};

Result<Pair> make_pair() {
  char own_public[kZ85 + 1], own_secret[kZ85 + 1];
  if (zmq_curve_keypair(own_public, own_secret) != 0)
    return Error::unsupported(std::string("this ZeroMQ has no CURVE: ") + zmq_strerror(zmq_errno()));
  return Pair{own_public, own_secret};
}

Status write_new(const std::string& path, const std::string& text, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return Error::from_errno("create " + path);
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return Error::from_errno("write " + path);
  return {};
}

bool is_key(const std::string& text) {
  uint8_t raw[32];
  return text.size() == kZ85 && zmq_z85_decode(raw, text.c_str()) != nullptr;
}

// WORD VALUE lines. A secret that others can read is refused, as ssh does.
Result<std::map<std::string, std::string>> read_words(const std::string& path, bool secret) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno(path + ": open key").with_hint("ktstr-launch keygen makes keys");
  struct stat st{};
  if (secret && ::fstat(fd.get(), &st) == 0 && (st.st_mode & 077) != 0)
    return Error::invalid(path + ": a secret key that others may read").with_hint("chmod 600 " + path);
  std::ifstream in(path);
  std::map<std::string, std::string> words;
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream parts(line);
    std::string word, value;
    if (!(parts >> word) || word[0] == '#') continue;
    parts >> value;
    if (!is_key(value)) return Error::invalid(path + ": \"" + word + "\" is no key");
    words[word] = value;
  }
  return words;
}

Result<std::string> word(const std::map<std::string, std::string>& words, const char* name,
                         const std::string& path) {
  auto it = words.find(name);
  if (it == words.end()) return Error::invalid(path + ": holds no \"" + name + "\"");
  return it->second;
}

}  // namespace

Result<std::string> generate_client_key(const std::string& folder, const std::string& client) {
  bool good = !client.empty() && client.size() <= 64 && client != "server" &&
              std::all_of(client.begin(), client.end(),
                          [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
  if (!good)
    return Error::invalid("\"" + client +
                          "\" is no name for a client: letters, digits, '-', '_', and not \"server\"");
  std::error_code error;
  fs::create_directories(folder + "/authorized", error);
  if (error) return Error::system("create " + folder + ": " + error.message());
  ::chmod(folder.c_str(), 0700);
  std::string server_path = folder + "/server.key";
  if (!fs::exists(server_path)) {
    auto pair = make_pair();
    if (!pair) return std::move(pair).error();
    std::string text = "# ktstr: the server's key (run --listen). Secret.\npublic " + pair->own_public +
                       "\nsecret " + pair->own_secret + "\n";
    if (auto s = write_new(server_path, text, 0600); !s) return std::move(s).error();
  }
  auto words = read_words(server_path, true);
  if (!words) return std::move(words).error();
  auto server_public = word(*words, "public", server_path);
  if (!server_public) return std::move(server_public).error();
  std::string path = folder + "/" + client + ".key";
  if (fs::exists(path))
    return Error::invalid(path + ": stands there already")
        .with_hint("choose another --name, or remove it and authorized/" + client + ".pub");
  auto pair = make_pair();
  if (!pair) return std::move(pair).error();
  std::string text =
      "# ktstr: a client's key. Secret: who has it can read the runs, and add to them.\nserver " +
      *server_public + "\npublic " + pair->own_public + "\nsecret " + pair->own_secret + "\n";
  if (auto s = write_new(path, text, 0600); !s) return std::move(s).error();
  if (auto s =
          write_new(folder + "/authorized/" + client + ".pub", "public " + pair->own_public + "\n", 0644);
      !s)
    return std::move(s).error();
  return path;
}

Result<ServerKeys> read_server_keys(const std::string& folder) {
  std::string path = folder + "/server.key";
  auto words = read_words(path, true);
  if (!words) return std::move(words).error();
  auto own_public = word(*words, "public", path), own_secret = word(*words, "secret", path);
  if (!own_public) return std::move(own_public).error();
  if (!own_secret) return std::move(own_secret).error();
  ServerKeys keys{*own_public, *own_secret, {}};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder + "/authorized", error)) {
    if (entry.path().extension() != ".pub") continue;
    auto client = read_words(entry.path().string(), false);
    if (!client) return std::move(client).error();
    auto client_public = word(*client, "public", entry.path().string());
    if (!client_public) return std::move(client_public).error();
    keys.authorized.push_back(*client_public);
  }
  if (keys.authorized.empty())
    return Error::invalid(folder + "/authorized: nobody is authorised")
        .with_hint("ktstr-launch keygen --name CLIENT");
  return keys;
}

Result<ClientKey> read_client_key(const std::string& path) {
  auto words = read_words(path, true);
  if (!words) return std::move(words).error();
  auto server = word(*words, "server", path), own_public = word(*words, "public", path),
       own_secret = word(*words, "secret", path);
  for (auto* part : {&server, &own_public, &own_secret})
    if (!*part) return std::move(*part).error();
  return ClientKey{*server, *own_public, *own_secret};
}

void use_client_key(zmq::socket_t& socket, const ClientKey& key) {
  socket.set(zmq::sockopt::curve_serverkey, key.server_public);
  socket.set(zmq::sockopt::curve_publickey, key.own_public);
  socket.set(zmq::sockopt::curve_secretkey, key.own_secret);
}

}  // namespace ktstr
