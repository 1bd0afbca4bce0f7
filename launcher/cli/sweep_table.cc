#include "launcher/cli/sweep_table.h"

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/log_reader.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "spec/topologies.h"

namespace ktstr {
namespace {

using Row = std::vector<std::string>;

const char* step_name(SweepStep step) {
  switch (step) {
    case SweepStep::kPassed:
      return "passed";
    case SweepStep::kFailed:
      return "failed";
    case SweepStep::kUnknown:
      break;
  }
  return "not reached";
}

void fold_start(const RunStarted& run, SweepCell& cell) {
  if (const TestSpec* spec = run.spec()) {
    if (const SchedulerSpec* scheduler = spec->scheduler()) cell.scheduler = str(scheduler->name());
    if (const Topology* t = spec->topology())
      cell.topology = NamedTopology{t->numa_nodes(), t->llcs(), t->cores(), t->threads()}.name();
  }
  if (run.kernel()) cell.kernel = str(run.kernel()->release());
}

void fold_verdict(const Verdict& verdict, SweepCell& cell) {
  cell.verdict = verdict.outcome() != Outcome::Inconclusive;
  const std::string summary = printable(str(verdict.summary()));
  if (verdict.outcome() == Outcome::Pass) {
    cell.start = cell.verify = cell.attach = cell.dispatch = SweepStep::kPassed;
    return;
  }
  cell.cause = summary;
  if (!cell.verdict) return;
  // A wrong command line, a missing file: the kernel has refused nothing.
  cell.start = verdict.failed_step() == FailedStep::Start ? SweepStep::kFailed : SweepStep::kPassed;
  if (cell.start == SweepStep::kFailed) return;
  if (verdict.failed_step() == FailedStep::Load) cell.verify = cell.attach = SweepStep::kUnknown;
  if (verdict.failed_step() >= FailedStep::Attach) cell.verify = SweepStep::kPassed;
  // The first step that was not reached is the one that failed.
  for (SweepStep* step : {&cell.verify, &cell.attach, &cell.dispatch}) {
    if (*step == SweepStep::kPassed) continue;
    *step = SweepStep::kFailed;
    return;
  }
}

// Distinct values in the order of `less`, or of their first appearance.
template <typename Get>
Row distinct(const std::vector<SweepCell>& cells, Get get) {
  Row out;
  for (const SweepCell& cell : cells)
    if (std::find(out.begin(), out.end(), get(cell)) == out.end()) out.push_back(get(cell));
  return out;
}

// "512", "498..510"; "-": nothing known.
std::string insns_text(const std::vector<SweepCell>& cells, const std::string& scheduler,
                       const std::string& kernel, const std::string& program) {
  uint64_t low = UINT64_MAX, high = 0;
  for (const SweepCell& cell : cells) {
    if (cell.scheduler != scheduler || cell.kernel != kernel) continue;
    if (auto found = cell.verified_insns.find(program); found != cell.verified_insns.end()) {
      low = std::min(low, found->second);
      high = std::max(high, found->second);
    }
  }
  if (low > high) return "-";
  return low == high ? std::to_string(low) : std::to_string(low) + ".." + std::to_string(high);
}

struct Grid {
  std::string title;
  std::vector<Row> rows;  // the first one is the head
};

std::vector<Grid> grids(const std::vector<SweepCell>& cells) {
  const Row schedulers = distinct(cells, [](const SweepCell& c) { return c.scheduler; });
  const Row kernels = distinct(cells, [](const SweepCell& c) { return c.kernel; });
  const Row topologies = distinct(cells, [](const SweepCell& c) { return c.topology; });
  std::vector<Grid> out;
  for (const std::string& scheduler : schedulers) {
    std::set<std::string> programs;
    for (const SweepCell& cell : cells)
      if (cell.scheduler == scheduler)
        for (const auto& [program, insns] : cell.verified_insns) programs.insert(program);
    if (programs.empty()) continue;
    Grid grid{scheduler + ": verified instructions", {{"program"}}};
    grid.rows[0].insert(grid.rows[0].end(), kernels.begin(), kernels.end());
    for (const std::string& program : programs) {
      Row row{program};
      for (const std::string& kernel : kernels) row.push_back(insns_text(cells, scheduler, kernel, program));
      grid.rows.push_back(std::move(row));
    }
    out.push_back(std::move(grid));
  }
  Grid grid{"results", {{"scheduler", "kernel"}}};
  grid.rows[0].insert(grid.rows[0].end(), topologies.begin(), topologies.end());
  for (const std::string& scheduler : schedulers)
    for (const std::string& kernel : kernels) {
      Row row{scheduler, kernel};
      bool any = false;
      for (const std::string& topology : topologies) {
        const auto cell = std::find_if(cells.begin(), cells.end(), [&](const SweepCell& c) {
          return c.scheduler == scheduler && c.kernel == kernel && c.topology == topology;
        });
        any |= cell != cells.end();
        row.push_back(cell == cells.end() ? "-" : cell->word());
      }
      if (any) grid.rows.push_back(std::move(row));
    }
  out.push_back(std::move(grid));
  return out;
}

std::string place_of(const SweepCell& cell) {
  return cell.scheduler + " on " + cell.kernel + ", " + cell.topology;
}

std::string columns(const std::vector<Row>& rows) {
  std::vector<size_t> width;
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (width.size() <= i) width.push_back(0);
      width[i] = std::max(width[i], row[i].size());
    }
  std::string out;
  for (const Row& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i)
      line += " " + row[i] + (i + 1 < row.size() ? std::string(width[i] - row[i].size() + 1, ' ') : "");
    out += line + "\n";
  }
  return out;
}

// A bar ends a cell of a Markdown table.
std::string in_cell(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

}  // namespace

std::string SweepCell::word() const {
  if (!skipped.empty()) return "skipped";
  if (passed()) return "ok";
  if (!verdict) return "no verdict";
  if (start == SweepStep::kFailed) return "start";
  if (verify == SweepStep::kFailed) return "verify";
  if (attach == SweepStep::kFailed) return "attach";
  return "dispatch";
}

void fold(const EventBuffer& event, SweepCell& cell) {
  if (auto* run = event.as<RunStarted>()) return fold_start(*run, cell);
  if (auto* skipped = event.as<TestSkipped>()) {
    cell.skipped = printable(str(skipped->reason()));
    return;
  }
  if (auto* verdict = event.as<Verdict>()) return fold_verdict(*verdict, cell);
  if (event.vm() != Vm::Primary) return;
  if (auto* program = event.as<BpfProgram>()) {
    const std::string name = printable(str(program->member() ? program->member() : program->name()));
    if (program->verified_insns()) cell.verified_insns[name] = program->verified_insns();
  }
  // Every guest comes to GuestFinished, whatever went before.
  if (auto* stage = event.as<StageReached>(); stage && stage->stage() != Stage::GuestFinished) {
    if (stage->stage() >= Stage::ProgramsSeen) cell.verify = SweepStep::kPassed;
    if (stage->stage() >= Stage::WorkloadStarted) cell.attach = SweepStep::kPassed;
  }
}

Result<SweepCell> read_sweep_cell(const std::string& log) {
  auto reader = LogReader::open(log);
  if (!reader) return std::move(reader).error();
  SweepCell cell;
  for (;;) {
    auto event = reader->next();
    if (!event) return std::move(event).error();
    if (!*event) return cell;
    fold(**event, cell);
  }
}

std::string sweep_text(const std::vector<SweepCell>& cells) {
  std::string out;
  for (const Grid& grid : grids(cells))
    out += (out.empty() ? "" : "\n") + grid.title + "\n" + columns(grid.rows);
  bool first = true;
  for (const SweepCell& cell : cells) {
    if (cell.passed()) continue;
    if (std::exchange(first, false)) out += "\nnot passed\n";
    out += "  " + place_of(cell) + ": " + cell.word() + ": " +
           (cell.skipped.empty() ? cell.cause : cell.skipped) + "\n";
  }
  return out;
}

std::string sweep_markdown(const std::vector<SweepCell>& cells) {
  std::string out;
  for (const Grid& grid : grids(cells)) {
    out += (out.empty() ? "### " : "\n### ") + grid.title + "\n\n";
    for (size_t i = 0; i < grid.rows.size(); ++i) {
      for (const std::string& text : grid.rows[i]) out += "| " + in_cell(text) + " ";
      out += "|\n";
      if (i > 0) continue;
      for (size_t column = 0; column < grid.rows[0].size(); ++column) out += "|---";
      out += "|\n";
    }
  }
  for (const SweepCell& cell : cells)
    if (!cell.passed())
      out += "\n- " + place_of(cell) + ": **" + cell.word() +
             "**: " + in_cell(cell.skipped.empty() ? cell.cause : cell.skipped);
  return out + "\n";
}

std::string sweep_json(const std::vector<SweepCell>& cells) {
  auto list = nlohmann::ordered_json::array();
  for (const SweepCell& cell : cells)
    list.push_back({{"scheduler", cell.scheduler},
                    {"kernel", cell.kernel},
                    {"topology", cell.topology},
                    {"result", cell.word()},
                    {"start", step_name(cell.start)},
                    {"verify", step_name(cell.verify)},
                    {"attach", step_name(cell.attach)},
                    {"dispatch", step_name(cell.dispatch)},
                    {"verified_insns", cell.verified_insns},
                    {"cause", cell.skipped.empty() ? cell.cause : cell.skipped}});
  return json_text(nlohmann::ordered_json{{"cells", list}}) + "\n";
}

}  // namespace ktstr
