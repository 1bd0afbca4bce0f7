// What an expert says of a crash after reading all of its text: one sentence, the evidence, a class, a stable signature.
// Pure: facts in, words out. Never more certain than the text; what the text lacks is said.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "explain/incident.h"
#include "schemas/crash_generated.h"

namespace ktstr {

struct Explanation {
  std::string summary;    // "stall: clang[9] (allowed on CPU 3 only) not run for 6.7 s; …"
  std::string cls;        // a class of docs/explain.md: "stall/dsq-not-served", "oops", "load/kfunc"
  std::string signature;  // one text for one bug
  std::string
      task;  // comm of the task that it is about: the stuck one, else the one that ran; empty: not told
  int pid = 0;
  int cpu = -1;
  std::string
      function;      // where: of the scheduler if it has a part in it, else of the kernel; empty: not told
  std::string file;  // source file; empty: not told
  uint32_t line = 0;
  std::string ops;      // name of the scheduler; empty: not told
  std::string kernel;   // release; empty: not told
  std::string message;  // the kernel's, the scheduler's or the program's own words
  std::vector<std::string> evidence;
  std::vector<std::string> lacks;       // what the text does not have
  std::string advice;                   // what usually mends it; empty: nothing is known
  std::vector<ChainFrameT> frames;      // innermost first
  std::shared_ptr<const ScxDump> dump;  // null: the text has none
  std::string when;                     // stamp of its first line, as it stands in the text
  uint64_t text_line = 0;               // number of its first line
};

Explanation explain(const Incident& incident);
// Of a kernel's message alone; `interrupted`: the one that it broke off, null: none.
Explanation explain(const KernelFaultT& fault, const KernelFaultT* interrupted = nullptr);
// Of a refused load: `summary` begins with "did not load: " or "did not attach: ".
Explanation explain(const LoadFailure& load);

// How a program ended, by its own words: "panicked at main.rs:12: no cell", "cannot open x: No such file".
std::string user_end_words(const UserEnd& end);

// Most telling first among crashes of one text: what broke off another message before that message, and of several
// exits for one reason the one whose state is known.
void order_explanations(std::vector<Explanation>& crashes);

// "lavd_1.1.3_x86_64_unknown_linux_gnu" -> "lavd": what two versions of a scheduler have in common.
std::string_view scheduler_family(std::string_view ops_name);

}  // namespace ktstr
