// ktstr-reporter's two ways of life: on the bus of a running test, or alone over a recorded log.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reporter/format.h"
#include "reporter/run_set.h"
#include "runtime/process.h"

namespace ktstr {

class HtmlPage;

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
  Status read_lists();
  // False: one of them could not be written.
  bool write_documents(const RunSet& set, HtmlPage* page);

  // Standalone.
  std::vector<std::string> logs_, plans_;
  std::string log_list_;
  std::string format_ = "text";
  struct Document {
    const char* flag;
    Format format;
    const char* help;
    std::string path;
  };
  std::vector<Document> documents_ = {
      {"--junit", Format::kJunit, "with LOG: JUnit XML into this file (-: stdout)", ""},
      {"--json", Format::kJson, "with LOG: a line a test into this file", ""},
      {"--ktap", Format::kKtap, "with LOG: kernel TAP into this file", ""},
      {"--markdown", Format::kMarkdown, "with LOG: Markdown into this file", ""},
      {"--github", Format::kGithub, "with LOG: GitHub's annotations into this file", ""}};
  std::string append_markdown_;
  std::string html_;  // folder of the page
  uint64_t merge_ = 0;
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
// `watcher`: sees the same events before the model does; empty: nobody does.
using EventWatcher = std::function<void(const EventBuffer&)>;
Result<std::unique_ptr<FoldedLog>> fold_log(const std::string& path, uint64_t until = UINT64_MAX,
                                            const EventWatcher& watcher = {});

}  // namespace ktstr
