#include "guest/init/check_reader.h"

#include "base/json.h"
#include "schemas/workload_generated.h"

namespace ktstr::guest {
namespace {

std::string text_of(const Json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  return json_text(*found);
}

CheckReportedT unreadable(std::string_view line, const std::string& why) {
  CheckReportedT check;
  check.outcome = Outcome::Inconclusive;
  check.detail = "unreadable check (" + why + "): " + std::string(line.substr(0, 200));
  return check;
}

}  // namespace

CheckReportedT parse_check(std::string_view line, bool truncated) {
  if (truncated) return unreadable(line, "too long");
  Json object = parse_json(line);
  if (object.is_discarded() || !object.is_object()) return unreadable(line, "no JSON object");
  const std::string outcome = text_of(object, "outcome");
  CheckReportedT check;
  if (outcome == "pass")
    check.outcome = Outcome::Pass;
  else if (outcome == "fail")
    check.outcome = Outcome::Fail;
  else if (outcome == "inconclusive")
    check.outcome = Outcome::Inconclusive;
  else if (outcome == "skip")
    check.outcome = Outcome::Skip;
  else
    return unreadable(line, "outcome is none of pass, fail, inconclusive, skip");
  check.name = text_of(object, "name");
  check.observed = text_of(object, "observed");
  check.threshold = text_of(object, "threshold");
  check.detail = text_of(object, "detail");
  check.file = text_of(object, "file");
  if (auto number = object.find("line"); number != object.end() && number->is_number_unsigned())
    check.line = static_cast<uint32_t>(std::min<uint64_t>(number->get<uint64_t>(), ~0u));
  return check;
}

std::optional<std::string> parse_body_phase(std::string_view line) {
  constexpr size_t kMaxName = 100;
  if (!line.starts_with("{\"phase\"")) return std::nullopt;
  Json whole = parse_json(line);
  if (!whole.is_object()) return std::nullopt;
  auto name = whole.find("phase");
  if (name == whole.end() || !name->is_string() || name->get_ref<const std::string&>().empty())
    return std::nullopt;
  return name->get<std::string>().substr(0, kMaxName);
}

void CheckReader::line(std::string_view text, bool truncated, uint64_t guest_ns) {
  if (is_report_line(text)) return worker(text, truncated, guest_ns);
  if (auto phase =
          truncated || !on_phase_ || phases_ >= kMostPhases ? std::nullopt : parse_body_phase(text)) {
    ++phases_;
    return on_phase_(*phase);
  }
  check(parse_check(text, truncated), guest_ns);
}

void CheckReader::worker(std::string_view text, bool truncated, uint64_t guest_ns) {
  if (workers_ > kMostWorkers) return;
  if (workers_ == kMostWorkers) {
    ++workers_;
    return channel_.send(unreadable("", "more than 10000 workers"), guest_ns);
  }
  auto report = truncated ? std::nullopt : parse_report_line(text);
  if (!report) return check(unreadable(text, "no worker report"), guest_ns);
  ++workers_;
  channel_.send(std::move(*report), guest_ns);
}

void CheckReader::check(CheckReportedT fact, uint64_t guest_ns) {
  if (++seen_ > kMost) return;
  channel_.send(seen_ == kMost ? unreadable("", "more than 10000 checks") : std::move(fact), guest_ns);
}

}  // namespace ktstr::guest
