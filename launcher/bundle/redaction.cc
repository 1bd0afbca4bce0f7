#include "launcher/bundle/redaction.h"

#include <flatbuffers/minireflect.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr size_t kLeastName = 2, kLeastAnywhere = 4;
constexpr size_t kMostWords = 2'000;

// What every machine has, and what names nobody.
bool is_everywhere(std::string_view part) {
  for (std::string_view known :
       {"home", "root", "tmp", "var", "usr",   "opt", "run",  "user", "Users", "mnt", "srv",   "etc",
        "dev",  "proc", "sys", "lib", "lib64", "bin", "sbin", "boot", "share", "src", "build", "local"})
    if (part == known) return true;
  return false;
}
bool is_of_system(std::string_view path) {
  for (std::string_view known :
       {"/usr/", "/etc/", "/dev/", "/proc/", "/sys/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/boot/"})
    if (path.starts_with(known)) return true;
  return false;
}

bool in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool in_path(char c) {
  return in_name(c) || c == '/' || c == '.' || c == '-' || c == '+' || c == '@' || c == '~';
}

// `prefix` and `number`, as long as `length`: "u1xx". Too short for that: x.
std::string stand_in(std::string_view prefix, size_t number, size_t length) {
  std::string out = std::string(prefix) + std::to_string(number);
  if (out.size() > length) out.clear();
  out.resize(length, 'x');
  return out;
}

// Changes strings and vectors of bytes where they lie in a buffer that is ours.
class InPlace : public flatbuffers::IterationVisitor {
 public:
  InPlace(const Redaction& redaction, std::span<uint8_t> buffer) : redaction_(redaction), buffer_(buffer) {}

  void String(const flatbuffers::String* text) override { change(text->data(), text->size()); }
  void Field(size_t, size_t, flatbuffers::ElementaryType type, bool repeated, const flatbuffers::TypeTable*,
             const char*, const uint8_t* value) override {
    if (!value || !repeated || type != flatbuffers::ET_UCHAR) return;
    const uint8_t* at = value + flatbuffers::ReadScalar<flatbuffers::uoffset_t>(value);
    const auto* bytes = reinterpret_cast<const flatbuffers::Vector<uint8_t>*>(at);
    change(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  void UType(uint8_t, const char*) override {}
  void Bool(bool) override {}
  void Char(int8_t, const char*) override {}
  void UChar(uint8_t, const char*) override {}
  void Short(int16_t, const char*) override {}
  void UShort(uint16_t, const char*) override {}
  void Int(int32_t, const char*) override {}
  void UInt(uint32_t, const char*) override {}
  void Long(int64_t) override {}
  void ULong(uint64_t) override {}
  void Float(float) override {}
  void Double(double) override {}
  void Unknown(const uint8_t*) override {}

 private:
  void change(const char* text, size_t size) {
    const auto offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(text) - buffer_.data());
    redaction_.redact({reinterpret_cast<char*>(buffer_.data()) + offset, size});
  }
  const Redaction& redaction_;
  std::span<uint8_t> buffer_;
};

}  // namespace

HostNames HostNames::of_this_host() {
  HostNames out;
  const auto add = [](std::vector<std::string>& to, const char* name) {
    if (name && *name) to.emplace_back(name);
  };
  if (const passwd* entry = ::getpwuid(::getuid())) {
    add(out.users, entry->pw_name);
    add(out.homes, entry->pw_dir);
  }
  for (const char* variable : {"USER", "LOGNAME", "SUDO_USER"}) add(out.users, std::getenv(variable));
  add(out.homes, std::getenv("HOME"));
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0) {
    add(out.hosts, host);
    if (char* dot = std::strchr(host, '.')) {
      *dot = '\0';
      add(out.hosts, host);
    }
  }
  return out;
}

Redaction::Redaction(const HostNames& names) {
  for (const std::string& home : names.homes) add_path(home + "/");
  for (const std::string& user : names.users) add_name(user, "u", users_);
  for (const std::string& host : names.hosts) add_name(host, "h", hosts_);
}

void Redaction::add_name(const std::string& name, const char* kind, size_t& count) {
  if (name.size() < kLeastName || is_everywhere(name) || name == "localhost") return;
  auto& words = words_[name[0]];
  if (words.contains(name)) return;
  // The same name as a part of a path has the same stand-in.
  auto known = parts_.find(name);
  const std::string other = known != parts_.end() ? known->second : stand_in(kind, count + 1, name.size());
  ++count;
  parts_.emplace(name, other);
  words.emplace(name, Word{.stand_in = other, .folder = false, .whole = name.size() < kLeastAnywhere});
}

// The folders of a path, the file's own name left out: a word for each depth.
void Redaction::add_path(std::string_view path) {
  if (is_of_system(path)) return;
  std::string folder, other;
  bool names_something = false;
  for (size_t at = 1; at < path.size();) {
    const size_t end = path.find('/', at);
    if (end == path.npos) break;
    const std::string part(path.substr(at, end - at));
    at = end + 1;
    if (part.empty() || part == "." || part == "..") return;
    const bool home = folder == "/home" || folder == "/Users";
    folder += "/" + part;
    if (home) add_name(part, "u", users_);
    auto known = parts_.find(part);
    if (known == parts_.end())
      known = parts_.emplace(part, is_everywhere(part) ? part : stand_in("d", parts_.size() + 1, part.size()))
                  .first;
    other += "/" + known->second;
    names_something = names_something || known->second != part;
    if (folder == "/root") {
      other = "/xxxx";
      names_something = true;
    }
    if (!names_something || folders_ >= kMostWords) continue;
    if (words_['/'].emplace(folder, Word{.stand_in = other, .folder = true, .whole = false}).second)
      ++folders_;
  }
}

void Redaction::add_paths_in(std::string_view text) {
  for (size_t at = text.find('/'); at != text.npos; at = text.find('/', at)) {
    size_t end = at;
    while (end < text.size() && in_path(text[end])) ++end;
    if (at == 0 || !in_path(text[at - 1])) add_path(text.substr(at, end - at));
    at = end;
  }
}

void Redaction::learn(const EventBuffer& event) {
  const auto add = [&](const std::string& text) { add_paths_in(text); };
  const auto add_whole = [&](const std::string& path) {  // it may hold spaces
    if (path.starts_with("/")) add_path(path);
  };
  if (const auto* seen = event.as<RunStarted>()) {
    RunStartedT run;
    seen->UnPackTo(&run);
    if (run.kernel)
      for (const std::string* text : {&run.kernel->path, &run.kernel->debuginfo, &run.kernel->origin})
        add(*text);
    for (const std::string& word : run.command) add(word);
    add(run.rerun);
    for (const auto& pair : run.environment) add(pair->value);
    add_whole(run.spec->file);
    if (run.spec->scheduler) {
      for (const std::string* path : {&run.spec->scheduler->binary, &run.spec->scheduler->host_path})
        add_whole(*path);
      add(run.spec->scheduler->build);
    }
    for (const auto& file : run.spec->files) add_whole(file->host_path);
    for (const auto& payload : run.spec->payloads) add_whole(payload->host_path);
  } else if (const auto* vm = event.as<VmStarted>()) {
    if (vm->cmdline())
      for (const auto* word : *vm->cmdline()) add(word->str());
    for (const auto* text : {vm->ram_path(), vm->qmp_path(), vm->gate_path()}) add(std::string(str(text)));
  } else if (const auto* known = event.as<SignatureKnown>()) {
    add(std::string(str(known->first())));
  } else if (const auto* exited = event.as<VmExited>()) {
    if (exited->stderr_tail())
      for (const auto* line : *exited->stderr_tail()) add(line->str());
  } else if (const auto* file = event.as<FileEmbedded>()) {
    add(std::string(str(file->path())));
  } else if (const auto* program = event.as<BpfProgram>()) {
    // Sources as the compiler was given them: on the host that built the scheduler.
    if (program->lines())
      for (const auto* line : *program->lines()) add(std::string(str(line->file())));
  }
}

void Redaction::redact(std::span<char> text) const {
  const std::string_view view(text.data(), text.size());
  for (size_t at = 0; at < text.size();) {
    const auto begin = words_.find(text[at]);
    if (begin == words_.end()) {
      ++at;
      continue;
    }
    size_t taken = 0;
    for (const auto& [word, entry] : begin->second) {  // of two that match, the longer one comes first
      if (view.substr(at, word.size()) != word) continue;
      const bool starts = at == 0, ends = at + word.size() == text.size();
      const char before = starts ? ' ' : text[at - 1], after = ends ? ' ' : text[at + word.size()];
      if (entry.folder &&
          ((after != '/' && in_path(after) && after != '.') || in_name(before) || before == '.'))
        continue;
      if (entry.whole && (in_name(before) || in_name(after))) continue;
      std::copy(entry.stand_in.begin(), entry.stand_in.end(), text.begin() + static_cast<ptrdiff_t>(at));
      taken = word.size();
      break;
    }
    at += taken ? taken : 1;
  }
}

std::string Redaction::redacted(std::string_view text) const {
  std::string out(text);
  redact(out);
  return out;
}

Result<EventBuffer> Redaction::redact(const EventBuffer& event) const {
  std::vector<uint8_t> bytes(event.bytes().begin(), event.bytes().end());
  InPlace visitor(*this, bytes);
  flatbuffers::IterateFlatBuffer(bytes.data(), EventTypeTable(), &visitor);
  return EventBuffer::from_bytes(bytes);
}

std::string Redaction::summary() const {
  const auto count = [](size_t n, const char* one, const char* many) {
    return fmt::format("{} {}", n, n == 1 ? one : many);
  };
  return count(users_, "user name", "user names") + ", " + count(hosts_, "host name", "host names") + ", " +
         count(folders_, "folder", "folders");
}

}  // namespace ktstr
