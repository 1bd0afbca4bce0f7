// Takes names of people, hosts and folders out of a log, and out of texts, so that both can be given away.
//
// What is looked for is collected from the log's own host paths and from the names of this host (learn()). Each finding gets a
// stand-in of the same length, the same everywhere, so that a log's events keep their layout: their bytes are changed in place
// and verified again. Paths keep their depth and their last part: "/home/ada/src/my.toml" is "/xxxx/d1x/d2x/my.toml".
//
// Not found: a name that is written in another way (upper case, encoded), and what a guest prints of other hosts.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schemas/envelope.h"

namespace ktstr {

// The names of the machine and of the person who uses it. Injected, so that a test has names of its own.
struct HostNames {
  std::vector<std::string> users, hosts, homes;
  static HostNames of_this_host();
};

class Redaction {
 public:
  explicit Redaction(const HostNames& names);

  // Collects the host's paths that the event states. All events first, then redact() them.
  void learn(const EventBuffer& event);

  // The event with its strings and bytes redacted; kInvalid: it does not verify afterwards.
  Result<EventBuffer> redact(const EventBuffer& event) const;
  void redact(std::span<char> text) const;
  std::string redacted(std::string_view text) const;

  // "2 user names, 1 host name, 14 folders": what is replaced, not by what it was.
  std::string summary() const;

 private:
  struct Word {
    std::string stand_in;
    bool folder = false;  // found only as the beginning of a path
    bool whole = false;   // found only between characters that no name holds
  };
  void add_name(const std::string& name, const char* kind, size_t& count);
  void add_path(std::string_view path);
  void add_paths_in(std::string_view text);

  // By first character, longest first within one.
  std::map<char, std::map<std::string, Word, std::greater<>>> words_;
  std::map<std::string, std::string> parts_;  // of folders
  size_t users_ = 0, hosts_ = 0, folders_ = 0;
};

}  // namespace ktstr
