#include "launcher/runner/skipped_test.h"

#include "launcher/run/run_facts.h"
#include "schemas/event_generated.h"
#include "schemas/log_writer.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

Result<std::string> record_skipped_test(const TestSpecT& spec, const std::string& reason,
                                        const RunEnvironment& environment) {
  auto folder = make_test_folder(environment.artifacts, spec.name);
  if (!folder) return std::move(folder).error();
  const std::string path = *folder + "/events.ktlog";
  auto log = LogWriter::create(path);
  if (!log) return std::move(log).error();
  RunStartedT started = run_started(spec, environment);
  started.run_id = run_id_of(spec, environment);
  started.start_unix_ns = environment.clock->realtime_ns();
  started.rerun = rerun_command(spec, environment);
  const EventHead head{.run_id = started.run_id, .source = "launcher"};
  TestSkippedT skipped;
  skipped.reason = reason;
  std::vector<EventBuffer> events;
  events.push_back(make_event(head, std::move(started)));
  events.push_back(make_event(head, std::move(skipped)));
  events.push_back(make_event(head, FactsCompletedT{}));
  events.push_back(make_event(head, RunFinishedT{}));
  if (auto s = log->append(events); !s) return std::move(s).error();
  return path;
}

}  // namespace ktstr
