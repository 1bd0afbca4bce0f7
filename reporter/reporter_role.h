// ktstr-reporter's two ways of life: on the bus of a running test, or alone over a recorded log.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reporter/format.h"
#include "runtime/process.h"

namespace ktstr {

class ReporterRole : public Role {
 public:
  std::string_view name() const override { return "reporter"; }
  std::optional<Confinement> confinement(const std::string&, const std::string&) const override {
    return Confinement{};
  }
  void add_options(OptionSet& options) override;
  std::optional<int> run_standalone() override;
  void on_event(const EventBuffer& event, Context& context) override;

 private:
  std::vector<std::string> logs_;  // standalone
  std::string format_ = "text";
  uint64_t until_ = UINT64_MAX;
  std::string report_file_;  // also write the report there
  RunModel model_;
  bool told_ = false;
};

// Folds a recorded log up to FactsCompleted, or to its end, or up to the event `until`. `damage`: one line,
// empty when the log ends well.
struct FoldedLog {
  RunModel model;
  std::string damage;
};
Result<std::unique_ptr<FoldedLog>> fold_log(const std::string& path, uint64_t until = UINT64_MAX);

}  // namespace ktstr
