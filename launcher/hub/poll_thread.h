// A thread that serves sockets until it is stopped. The sockets are its own while it runs.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace zmq {
class socket_t;
}

namespace ktstr {

class PollThread {
 public:
  // Throws zmq::error_t without a descriptor. Calls `readable` for a socket that has something to be received. A zmq::error_t in it ends the thread.
  PollThread(std::vector<std::unique_ptr<zmq::socket_t>> sockets,
             std::function<void(zmq::socket_t&)> readable);
  ~PollThread();

 private:
  void serve();

  std::vector<std::unique_ptr<zmq::socket_t>> sockets_;
  std::function<void(zmq::socket_t&)> readable_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace ktstr
