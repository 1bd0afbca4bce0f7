// CURVE keys for a bus over TCP: files, and their use on a socket.
//
// Folder of `ktstr-launch keygen` (0700): server.key (secret; `run --listen`), authorized/NAME.pub (who may join),
// NAME.key (secret; goes to the client, holds the server's public key too). Text: "WORD VALUE" lines, '#' comments; keys in Z85.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace zmq {
class socket_t;
}

namespace ktstr {

struct ClientKey {
  std::string server_public, own_public, own_secret;  // 40 characters each
};
struct ServerKeys {
  std::string own_public, own_secret;
  std::vector<std::string> authorized;  // clients' public keys
};

// Adds a client to the key folder, which is created (with the server's pair) if it is not there. Returns the client's key file.
// Errors: the client has a key there already, a bad name.
Result<std::string> generate_client_key(const std::string& folder, const std::string& client);
// Errors: missing, readable by others, damaged, nobody authorised.
Result<ServerKeys> read_server_keys(const std::string& folder);
Result<ClientKey> read_client_key(const std::string& path);

// Before connect(). Throws zmq::error_t.
void use_client_key(zmq::socket_t& socket, const ClientKey& key);

}  // namespace ktstr
