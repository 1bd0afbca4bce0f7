#include "workload/worker_report.h"

#include <vector>

#include "base/text.h"
#include "workload/worker_slot.h"

namespace ktstr {
namespace {

constexpr std::string_view kWord = "worker ";
constexpr size_t kMaxName = 100, kMaxCpuset = 1024, kMaxErrors = 16;

void cut(WorkerReportT& report) {
  report.cgroup.resize(std::min(report.cgroup.size(), kMaxName));
  report.cpuset.resize(std::min(report.cpuset.size(), kMaxCpuset));
  for (auto* cpus : {&report.cpus, &report.outside_cpus}) {
    std::erase_if(*cpus, [](uint16_t cpu) { return cpu >= kMaxCpus; });
    cpus->resize(std::min<size_t>(cpus->size(), kMaxCpus));
  }
  report.errors.resize(std::min(report.errors.size(), kMaxErrors));
  for (auto& error : report.errors) error->what.resize(std::min(error->what.size(), kMaxName));
}

int digit(char c) {
  if (is_digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::vector<uint8_t> bytes_of(std::string_view hex) {
  std::vector<uint8_t> bytes;
  if (hex.size() % 2 != 0) return bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]), low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes.push_back(static_cast<uint8_t>(high * 16 + low));
  }
  return bytes;
}

}  // namespace

std::string report_line(WorkerReportT report) {
  cut(report);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(WorkerReport::Pack(builder, &report));
  return std::string(kWord) + hex_bytes({builder.GetBufferPointer(), builder.GetSize()});
}

bool is_report_line(std::string_view line) { return line.starts_with(kWord); }

std::optional<WorkerReportT> parse_report_line(std::string_view line) {
  if (!is_report_line(line) || line.size() > kMaxReportLine) return std::nullopt;
  const std::vector<uint8_t> bytes = bytes_of(line.substr(kWord.size()));
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (bytes.empty() || !verifier.VerifyBuffer<WorkerReport>(nullptr)) return std::nullopt;
  WorkerReportT report;
  flatbuffers::GetRoot<WorkerReport>(bytes.data())->UnPackTo(&report);
  cut(report);
  if (*EnumNameWorkType(report.work) == '\0') report.work = WorkType::Custom;
  report.step = 0;  // only init's own workers are of a step
  return report;
}

}  // namespace ktstr
