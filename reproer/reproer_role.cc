#include "reproer/reproer_role.h"

#include "reproer/kernel_loader.h"

namespace ktstr {

ReproerRole::ReproerRole() : reproer_(load_kernel) {}

void ReproerRole::on_event(const EventBuffer& event, Context& context) {
  if (auto answer = reproer_.on_event(event))
    std::visit([&](auto&& payload) { context.publish(std::move(payload)); }, std::move(*answer));
}

}  // namespace ktstr
