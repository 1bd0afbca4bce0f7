// The reproer as a process: carries events in and the answer out.
#pragma once

#include "reproer/reproer.h"
#include "runtime/process.h"

namespace ktstr {

class ReproerRole : public Role {
 public:
  ReproerRole();
  std::string_view name() const override { return "reproer"; }
  void on_event(const EventBuffer& event, Context& context) override;

 private:
  Reproer reproer_;
};

}  // namespace ktstr
