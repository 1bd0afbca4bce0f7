#include "launcher/run/run_bus.h"

namespace ktstr {

Result<std::unique_ptr<RunBus>> RunBus::open(const Options& options, const Clock& clock) {
  std::unique_ptr<RunBus> bus(new RunBus(options.run_id, clock, options.past_ns));
  BusAddress address = BusAddress::in_folder(options.folder);
  auto hub = Hub::start(bus->zmq_, {.address = address,
                                    .log_path = options.log_path,
                                    .run_id = options.run_id,
                                    .start_ns = bus->start_ns_,
                                    .listen = options.listen});
  if (!hub) return std::move(hub).error();
  bus->hub_ = std::move(hub).value();
  auto publisher = Publisher::connect(bus->zmq_, address);
  if (!publisher) return std::move(publisher).error();
  bus->publisher_.emplace(std::move(publisher).value());
  auto subscriber = Subscriber::connect(bus->zmq_, address, options.log_path);
  if (!subscriber) return std::move(subscriber).error();
  bus->subscriber_.emplace(std::move(subscriber).value());
  return bus;
}

}  // namespace ktstr
