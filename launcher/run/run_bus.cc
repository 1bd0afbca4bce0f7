#include "launcher/run/run_bus.h"

namespace ktstr {

Result<std::unique_ptr<RunBus>> RunBus::open(const std::string& folder, const std::string& log_path,
                                             const std::string& run_id, const Clock& clock,
                                             const std::optional<BusListen>& listen) {
  std::unique_ptr<RunBus> bus(new RunBus(run_id, clock));
  BusAddress address = BusAddress::in_folder(folder);
  auto hub = Hub::start(bus->zmq_, {.address = address, .log_path = log_path, .run_id = run_id,
                                     .start_ns = bus->start_ns_, .listen = listen});
  if (!hub) return std::move(hub).error();
  bus->hub_ = std::move(hub).value();
  auto publisher = Publisher::connect(bus->zmq_, address);
  if (!publisher) return std::move(publisher).error();
  bus->publisher_.emplace(std::move(publisher).value());
  auto subscriber = Subscriber::connect(bus->zmq_, address, log_path);
  if (!subscriber) return std::move(subscriber).error();
  bus->subscriber_.emplace(std::move(subscriber).value());
  return bus;
}

}  // namespace ktstr
