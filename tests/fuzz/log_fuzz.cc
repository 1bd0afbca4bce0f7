// A log file: any bytes behind a header, or, so that the fuzzer comes past the checksums, records with right ones.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "base/crc32c.h"
#include "base/small_files.h"
#include "base/unique_fd.h"
#include "schemas/event_json.h"
#include "schemas/log_format.h"
#include "schemas/log_reader.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

void append(std::string& out, const void* bytes, size_t size) {
  out.append(static_cast<const char*>(bytes), size);
}

std::string header() {
  LogHeader header{};
  std::memcpy(header.magic, kLogMagic, sizeof header.magic);
  header.format_version = kLogFormatVersion;
  header.schema_version = kSchemaVersion;
  std::string out;
  append(out, &header, sizeof header);
  return out;
}

void read_all(const std::string& log) {
  UniqueFd fd(::memfd_create("log", MFD_CLOEXEC));
  must(fd && write_all(fd.get(), log, "memfd").ok(), "no memfd");
  auto reader = LogReader::open("/proc/self/fd/" + std::to_string(fd.get()));
  if (!reader) return;
  while (true) {
    auto event = reader->next();
    if (!event || !*event) break;
    (void)event_json_line(**event);
  }
  (void)reader->damage();
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> events;
  for (const EventBuffer& event : sample_events()) events.push_back(input_of(event));
  std::vector<Input> out{join(events)};
  for (Input& event : events) out.push_back(join({std::move(event)}));
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  std::string raw = header(), sound = header();
  append(raw, data, size);
  read_all(raw);
  for (auto piece : pieces({data, size})) {
    const RecordHeader record{static_cast<uint32_t>(piece.size()), crc32c(piece)};
    append(sound, &record, sizeof record);
    append(sound, piece.data(), piece.size());
  }
  read_all(sound);
  return 0;
}
