// What the kernel and a scheduler print, line by line, through every reader of it.
#include <fstream>
#include <iterator>

#include "base/text.h"
#include "scx/crash_signature.h"
#include "scx/kernel_fault_parser.h"
#include "scx/load_failure.h"
#include "scx/scx_dump.h"
#include "scx/scx_exit_parser.h"
#include "scx/stall.h"
#include "scx/trace_frame.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  std::vector<Input> out;
  for (const char* name :
       {"7.3-scx_demo.console.txt", "7.2-scx_bad_dsq.dump.txt", "6.18-scx_dispatch_loop.dump.txt",
        "scx_stall.dump.txt", "scx_verifier_reject.sched.txt", "7.3-scx_segv.console.txt"}) {
    std::ifstream file(std::string(KTSTR_TESTDATA) + "/" + name, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    must(!out.back().empty(), name);
    if (out.back().size() > 16'000) out.back().resize(16'000);
  }
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  std::string_view text = fuzz::text_of({data, size});
  ScxDump dump;
  ScxExitParser exits;
  ScxConsoleParser console;
  KernelFaultParser faults;
  LoadFailureScanner loads;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const StampedText stamped = split_stamp(line);
    dump.feed(line);
    exits.feed(line);
    console.feed(stamped.text, stamped.guest_ns);
    faults.feed(stamped.text, stamped.guest_ns);
    loads.line(line);
    (void)parse_stall(line);
    (void)parse_trace_frame(line);
    (void)parse_task_name(line);
    (void)normalize_crash_message(line);
    const std::string shown = printable(line);
    fuzz::must(printable(shown) == shown, "printable text is not printable");
  }
  (void)dump.exit();
  (void)exits.result();
  (void)console.result();
  (void)loads.failure();
  faults.finish();
  while (auto read = faults.take()) {
    fuzz::must(read->fault.tasks.size() <= KernelFaultParser::kMaxTasks, "a fault is not bounded");
    (void)emulator_artefact(read->fault, "tcg", true);
  }
  fuzz::must(dump.tasks().size() <= ScxDump::kMaxTasks && dump.cpus().size() <= ScxDump::kMaxCpus,
             "a dump is not bounded");
  return 0;
}
