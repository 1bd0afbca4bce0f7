// The reproer as a process: carries events in and the answer out.
#pragma once

#include "base/unique_fd.h"
#include "reproer/reproer.h"
#include "runtime/process.h"
#include "schemas/run_generated.h"

namespace ktstr {

class ReproerRole : public Role {
 public:
  ReproerRole();
  std::string_view name() const override { return "reproer"; }
  std::optional<Confinement> confinement(const std::string&, const std::string&) const override {
    return Confinement{};
  }
  void on_event(const EventBuffer& event, Context& context) override;

 private:
  void open_memory(const VmStarted& vm);
  void tell_from_memory(Context& context, uint8_t attempt);

  Reproer reproer_;
  UniqueFd ram_;  // the repro VM's; outlives its guest
};

}  // namespace ktstr
