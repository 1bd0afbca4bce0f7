#include "launcher/runner/report_output.h"

#include <unistd.h>

#include <cstdio>
#include <random>

#include "base/log.h"
#include "base/small_files.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kMostBytes = 64u << 20;

void put(const std::string& text) {
  if (auto s = write_all(STDOUT_FILENO, text, "write to stdout"); !s) log_error(s.error().message());
}

}  // namespace

ReportOutput::ReportOutput(bool workflow_groups) {
  if (!workflow_groups) return;
  // Nobody in a VM can guess it.
  std::random_device random;
  token_ = "ktstr";
  for (int i = 0; i < 4; ++i) token_ += hex(random()).substr(2);
}

void ReportOutput::begin(const std::string& title) {
  if (!token_.empty()) put("::group::" + printable(title) + "\n::stop-commands::" + token_ + "\n");
}

void ReportOutput::end() {
  if (!token_.empty()) put("::" + token_ + "::\n::endgroup::\n");
}

void ReportOutput::print(const std::string& title, const std::string& path) {
  auto text = read_binary(path, kMostBytes);
  begin(title);
  put(text ? *text : path + ": " + text.error().message() + "\n");
  end();
}

}  // namespace ktstr
