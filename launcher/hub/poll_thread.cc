#include "launcher/hub/poll_thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <zmq.hpp>

namespace ktstr {

PollThread::PollThread(std::vector<std::unique_ptr<zmq::socket_t>> sockets,
                       std::function<void(zmq::socket_t&)> readable)
    : sockets_(std::move(sockets)), readable_(std::move(readable)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  // Without it the thread could not be stopped. (Takes errno.)
  if (!stop_) throw zmq::error_t();
  thread_ = std::thread([this] { serve(); });
}

PollThread::~PollThread() {
  uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void PollThread::serve() {
  std::vector<zmq::pollitem_t> items;
  for (auto& socket : sockets_) items.push_back({socket->handle(), 0, ZMQ_POLLIN, 0});
  items.push_back({nullptr, stop_.get(), ZMQ_POLLIN, 0});
  while (true) {
    try {
      zmq::poll(items, std::chrono::milliseconds(-1));
      if (items.back().revents) return;
      for (size_t i = 0; i < sockets_.size(); ++i)
        if (items[i].revents) readable_(*sockets_[i]);
    } catch (const zmq::error_t& e) {
      if (e.num() != EINTR) return;
    }
  }
}

}  // namespace ktstr
