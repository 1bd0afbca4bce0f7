// Up to three sources report one exit of a scheduler: the kernel's log, sched_ext's dump, and the scheduler's own output. This
// joins what was read of each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "explain/text_line.h"
#include "scx/scx_dump.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {

struct ExitSource {
  uint64_t line = 0, last = 0;
  std::string when, running_ops, kernel;
  ScxConsoleParser parser;  // of the kernel's log
  bool console = false;
  std::shared_ptr<ScxDump> dump;     // else
  ScxExit exit;                      // when it is complete
  bool told = false;                 // an exit was told
  Origin origin = Origin::kUnknown;  // who printed the dump
};

// The same exits, each once, in the order of their first lines. Sources belong together by reason and message, and only when they
// are near each other in the text.
std::vector<std::unique_ptr<ExitSource>> joined_sources(std::vector<std::unique_ptr<ExitSource>> told);

}  // namespace ktstr
