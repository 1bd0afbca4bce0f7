#include "reporter/client_notes.h"

#include <fmt/format.h>

#include "base/text.h"
#include "schemas/client_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxNotes = 16;

}  // namespace

void ClientNotes::refused(const ClientRefused& refusal) {
  std::string_view reason = str(refusal.reason());
  std::string key = std::string(str(refusal.name())) + "\n" + std::string(reason.substr(0, reason.find(':')));
  // One place is kept for those that came when all were taken.
  if (refused_.size() >= kMaxNotes && !refused_.count(key)) key = "others\n";
  Refusals& all = refused_[key];
  all.count += refusal.refused();
  all.reason = printable(reason.substr(0, 300));
}

void ClientNotes::held(std::string_view source, const ProducerHeld& held) {
  if (held_ns_.size() >= kMaxNotes && !held_ns_.count(std::string(source))) source = "others";
  held_ns_[std::string(source)] += held.held_ns();
}

std::vector<std::string> ClientNotes::lines() const {
  std::vector<std::string> lines;
  for (const auto& [key, all] : refused_) {
    std::string name = printable(key.substr(0, key.find('\n')));
    lines.push_back(fmt::format("client {} rejected, {} event{}: {}",
                                name.empty() ? "without a name" : "\"" + name + "\"", all.count,
                                all.count == 1 ? "" : "s", all.reason));
  }
  for (const auto& [source, ns] : held_ns_)
    lines.push_back(
        fmt::format("producer \"{}\" waited {}: it sent faster than the hub takes events (none is lost)",
                    printable(source), human_ns(ns)));
  return lines;
}

}  // namespace ktstr
