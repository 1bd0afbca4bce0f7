// A breadth-first walk over DT_NEEDED, with the loader's own search order. Each directory is kept twice:
// where it is on the host and where it will be in the guest; they differ only under $ORIGIN, because the
// program may be elsewhere in the guest. Headers are read through program headers, as the loader does, so
// stripped section tables do no harm.

#include "launcher/vm/program_files.h"

#include <fcntl.h>
#include <gelf.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 512;
constexpr int kMaxScriptDepth = 4;

struct ElfFacts {
  bool x86_64 = false;
  std::string interpreter;
  std::vector<std::string> needed;
  std::string rpath, runpath;
};

struct EndElf {
  void operator()(Elf* e) const { elf_end(e); }
};

// File offset of a virtual address, by PT_LOAD.
std::optional<uint64_t> file_offset(Elf* elf, size_t segments, uint64_t address) {
  for (size_t i = 0; i < segments; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(i), &segment) == nullptr || segment.p_type != PT_LOAD) continue;
    if (address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz) {
      return address - segment.p_vaddr + segment.p_offset;
    }
  }
  return std::nullopt;
}

void read_dynamic(Elf* elf, size_t segments, const GElf_Phdr& dynamic, ElfFacts* facts) {
  Elf_Data* entries =
      elf_getdata_rawchunk(elf, static_cast<int64_t>(dynamic.p_offset), dynamic.p_filesz, ELF_T_DYN);
  if (entries == nullptr) return;
  int count = static_cast<int>(entries->d_size / sizeof(Elf64_Dyn));
  uint64_t strings_at = 0, strings_size = 0;
  GElf_Dyn entry;
  for (int i = 0; i < count && gelf_getdyn(entries, i, &entry) != nullptr; ++i) {
    if (entry.d_tag == DT_STRTAB) strings_at = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) strings_size = entry.d_un.d_val;
  }
  auto offset = file_offset(elf, segments, strings_at);
  if (!offset) return;
  Elf_Data* strings = elf_getdata_rawchunk(elf, static_cast<int64_t>(*offset), strings_size, ELF_T_BYTE);
  if (strings == nullptr || strings->d_buf == nullptr) return;
  auto text = [&](uint64_t at) {
    if (at >= strings->d_size) return std::string();
    const char* start = static_cast<const char*>(strings->d_buf) + at;
    return std::string(start, strnlen(start, strings->d_size - at));
  };
  for (int i = 0; i < count && gelf_getdyn(entries, i, &entry) != nullptr && entry.d_tag != DT_NULL; ++i) {
    if (entry.d_tag == DT_NEEDED) facts->needed.push_back(text(entry.d_un.d_val));
    if (entry.d_tag == DT_RPATH) facts->rpath = text(entry.d_un.d_val);
    if (entry.d_tag == DT_RUNPATH) facts->runpath = text(entry.d_un.d_val);
  }
}

// nullopt: not an ELF.
std::optional<ElfFacts> read_elf(const std::string& path) {
  elf_version(EV_CURRENT);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::unique_ptr<Elf, EndElf> elf(elf_begin(fd.get(), ELF_C_READ_MMAP, nullptr));
  GElf_Ehdr header;
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF || gelf_getehdr(elf.get(), &header) == nullptr)
    return std::nullopt;
  ElfFacts facts;
  facts.x86_64 = header.e_machine == EM_X86_64 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
                 (header.e_type == ET_EXEC || header.e_type == ET_DYN);
  size_t segments = 0;
  if (!facts.x86_64 || elf_getphdrnum(elf.get(), &segments) != 0) return facts;
  for (size_t i = 0; i < segments; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf.get(), static_cast<int>(i), &segment) == nullptr) continue;
    if (segment.p_type == PT_DYNAMIC) read_dynamic(elf.get(), segments, segment, &facts);
    if (segment.p_type != PT_INTERP || segment.p_filesz > 4096) continue;
    Elf_Data* data =
        elf_getdata_rawchunk(elf.get(), static_cast<int64_t>(segment.p_offset), segment.p_filesz, ELF_T_BYTE);
    if (data != nullptr && data->d_buf != nullptr) {
      facts.interpreter.assign(static_cast<const char*>(data->d_buf),
                               strnlen(static_cast<const char*>(data->d_buf), data->d_size));
    }
  }
  return facts;
}

// A directory of the search: on the host and in the guest.
struct SearchDir {
  std::string host, guest;
};

void replace_all(std::string* text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text->find(what, at)) != std::string::npos; at += with.size())
    text->replace(at, what.size(), with);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

// In every loader's list of standard folders.
constexpr char kDlopenFolder[] = "/usr/lib/x86_64-linux-gnu/";

// "libx.so", "libx.so.1.2".
bool shared_library_name(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  const size_t at = name.rfind(".so");
  return at != std::string::npos && (at + 3 == name.size() || name[at + 3] == '.');
}

class Walk {
 public:
  explicit Walk(const ProgramSearch& search) : search_(search) {
    read_loader_config(search_.root + "/etc/ld.so.conf", 0);
    static constexpr const char* kStandard[] = {
        "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"};
    for (const char* dir : kStandard) standard_.insert(dir);
    for (const char* dir : kStandard) {
      std::string real = guest_view(dir);
      standard_.insert(real);
      if (fallback_dir_.empty() && fs::is_directory(search_.root + real)) fallback_dir_ = real;
      system_dirs_.push_back(dir);
    }
  }

  Status add(const std::string& host_path, const std::string& guest_path, int depth) {
    std::error_code ec;
    std::string real = fs::canonical(host_path, ec);
    if (ec) return Error::not_found(host_path + ": " + ec.message());
    if (!fs::is_regular_file(real, ec)) return Error::invalid(host_path + ": is not a file");
    if (::access(real.c_str(), R_OK) != 0) return Error::from_errno("cannot read " + host_path);
    struct stat st;
    if (stat(real.c_str(), &st) != 0) return Error::from_errno(host_path);
    const bool library = shared_library_name(guest_path);
    if ((st.st_mode & 0111) == 0 && !library)
      return Error::invalid(host_path + ": is not executable").with_hint("chmod +x " + host_path);

    std::ifstream in(real, std::ios::binary);
    char magic[2] = {};
    in.read(magic, 2);
    if (magic[0] == '#' && magic[1] == '!') {
      std::string line;
      std::getline(in, line);
      files_.push_back({guest_path, real});
      return add_interpreter_of(host_path, line.substr(0, 1024), depth);
    }
    auto facts = read_elf(real);
    if (!facts) return Error::invalid(host_path + ": is neither an x86-64 program nor a script (#!)");
    if (!facts->x86_64)
      return Error::unsupported(host_path + ": is built for another machine; the guest is x86-64");
    return add_elf(host_path, real, guest_path, std::move(*facts));
  }

  // A library that is not here, or is not whole, is left out.
  void add_library(const std::string& name) {
    auto found = find_library(name, {});
    if (!found) return;
    const size_t before = files_.size();
    if (auto s = add_elf(name, found->real, found->guest_path, std::move(found->facts)); !s)
      files_.resize(before);
  }
  void add_loader(const std::string& path) {
    std::error_code ec;
    const std::string real = fs::canonical(on_host(path), ec);
    if (!ec) files_.push_back({path, real});
  }

  std::vector<ProgramFile> take() { return std::move(files_); }

 private:
  struct Object {
    std::string real, guest_path;
    ElfFacts facts;
    const Object* loader = nullptr;  // who needed it
  };

  std::string on_host(const std::string& path) const { return search_.root + path; }

  // A host directory with its links resolved, as a path below the root: the guest has no such links.
  std::string guest_view(const std::string& dir) const {
    std::error_code ec;
    std::string real = fs::weakly_canonical(on_host(dir), ec);
    std::string root = search_.root.empty() ? "" : fs::weakly_canonical(search_.root, ec).string();
    if (ec || real.compare(0, root.size(), root) != 0) return dir;
    return real.substr(root.size());
  }

  void read_loader_config(const std::string& path, int depth) {
    if (depth > 8) return;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      line = line.substr(0, line.find('#'));
      std::istringstream words(line);
      std::string word;
      if (!(words >> word)) continue;
      if (word == "include") {
        std::string pattern;
        while (words >> pattern) {
          if (pattern[0] != '/') pattern = "/etc/" + pattern;
          glob_t found{};
          if (glob(on_host(pattern).c_str(), 0, nullptr, &found) == 0) {
            for (size_t i = 0; i < found.gl_pathc; ++i) read_loader_config(found.gl_pathv[i], depth + 1);
          }
          globfree(&found);
        }
      } else if (word[0] == '/') {
        system_dirs_.push_back(word);
      }
    }
  }

  Status add_interpreter_of(const std::string& script, const std::string& line, int depth) {
    if (depth >= kMaxScriptDepth)
      return Error::invalid(script + ": its interpreters are scripts, too deeply nested");
    std::istringstream words(line);
    std::string interpreter;
    if (!(words >> interpreter) || interpreter[0] != '/') {
      return Error::invalid(script + ": its first line names no interpreter by absolute path");
    }
    if (!fs::exists(on_host(interpreter))) {
      return Error::not_found(script + ": its interpreter " + interpreter + " is not on this host");
    }
    if (auto s = add(on_host(interpreter), interpreter, depth + 1); !s)
      return std::move(s).error().within(script);
    if (fs::path(interpreter).filename() != "env") return {};
    std::string command;
    while (words >> command) {
      if (command[0] != '-' && command.find('=') == std::string::npos) break;
      command.clear();
    }
    if (command.empty()) return {};
    for (const auto& dir : split(search_.path, ':')) {
      std::string path = dir + "/" + command;
      if (::access(on_host(path).c_str(), X_OK) != 0) continue;
      auto s = add(on_host(path), path, depth + 1);
      return s ? Status() : Status(std::move(s).error().within(script));
    }
    return Error::not_found(script + ": its interpreter " + command + " is not in PATH");
  }

  Status add_elf(const std::string& shown, const std::string& real, const std::string& guest_path,
                 ElfFacts facts) {
    std::set<std::string> satisfied;
    files_.push_back({guest_path, real});
    if (!facts.interpreter.empty()) {
      std::error_code ec;
      std::string loader = fs::canonical(on_host(facts.interpreter), ec);
      if (ec) {
        return Error::not_found(shown + ": needs the loader " + facts.interpreter +
                                ", which is not on this host");
      }
      files_.push_back({facts.interpreter, loader});
      satisfied.insert(fs::path(facts.interpreter).filename());
    }
    std::deque<Object> objects;  // stable addresses
    objects.push_back({real, guest_path, std::move(facts), nullptr});
    for (size_t i = 0; i < objects.size(); ++i) {
      for (const auto& name : std::vector<std::string>(objects[i].facts.needed)) {
        if (name.empty() || !satisfied.insert(name).second) continue;
        auto found = find_library(name, objects[i]);
        if (!found) {
          std::string who =
              objects[i].real == real ? shown : objects[i].real + " (which " + shown + " needs)";
          return Error::not_found("shared library " + name + ", needed by " + who + ", is not on this host")
              .with_hint("install the package that holds " + name + ", or link the program statically");
        }
        if (files_.size() >= kMaxFiles) return Error::exhausted(shown + ": needs more than 512 files");
        files_.push_back({found->guest_path, found->real});
        found->loader = &objects[i];
        objects.push_back(std::move(*found));
      }
    }
    return {};
  }

  // One entry of an RPATH or RUNPATH, with its variables filled in.
  std::vector<SearchDir> expand(const std::string& list, const Object& object) const {
    std::vector<SearchDir> dirs;
    for (const auto& raw : split(list, ':')) {
      for (const char* lib : {"lib/x86_64-linux-gnu", "lib64", "lib"}) {
        SearchDir dir{raw, raw};
        for (std::string* side : {&dir.host, &dir.guest}) {
          bool host = side == &dir.host;
          std::string origin = fs::path(host ? object.real : object.guest_path).parent_path();
          if (host && side->find("ORIGIN") == std::string::npos) *side = on_host(*side);
          replace_all(side, "${ORIGIN}", origin);
          replace_all(side, "$ORIGIN", origin);
          replace_all(side, "${LIB}", lib);
          replace_all(side, "$LIB", lib);
          replace_all(side, "${PLATFORM}", "x86_64");
          replace_all(side, "$PLATFORM", "x86_64");
        }
        dir.guest = fs::path(dir.guest).lexically_normal();
        dirs.push_back(dir);
        if (raw.find("LIB") == std::string::npos) break;
      }
    }
    return dirs;
  }

  std::optional<Object> look(const SearchDir& dir, const std::string& name) const {
    std::error_code ec;
    std::string path = fs::canonical(dir.host + "/" + name, ec);
    if (ec || !fs::is_regular_file(path, ec)) return std::nullopt;
    auto facts = read_elf(path);
    if (!facts || !facts->x86_64) return std::nullopt;  // the loader passes over foreign ones too
    return Object{path, dir.guest + "/" + name, std::move(*facts), nullptr};
  }

  std::optional<Object> find_library(const std::string& name, const Object& needed_by) const {
    if (name.find('/') != std::string::npos) {
      fs::path path(name);
      return look({on_host(path.parent_path()), path.parent_path()}, path.filename());
    }
    std::vector<SearchDir> dirs;
    auto append = [&](std::vector<SearchDir> more) { dirs.insert(dirs.end(), more.begin(), more.end()); };
    if (needed_by.facts.runpath.empty()) {
      for (const Object* o = &needed_by; o != nullptr; o = o->loader) {
        if (o->facts.runpath.empty()) append(expand(o->facts.rpath, *o));
      }
    }
    append(expand(needed_by.facts.runpath, needed_by));
    for (const auto& dir : system_dirs_) {
      // The guest has no loader cache: what is in a directory of ld.so.conf moves to a standard one.
      std::string real = guest_view(dir);
      dirs.push_back({on_host(dir), standard_.count(real) != 0 ? real : fallback_dir_});
    }
    for (const auto& dir : dirs) {
      if (auto found = look(dir, name)) return found;
    }
    return std::nullopt;
  }

  const ProgramSearch& search_;
  std::vector<std::string> system_dirs_;
  std::set<std::string> standard_;
  std::string fallback_dir_;
  std::vector<ProgramFile> files_;
};

}  // namespace

Result<std::vector<ProgramFile>> collect_program_files(const std::string& host_path,
                                                       const std::string& guest_path,
                                                       const ProgramSearch& search) {
  Walk walk(search);
  if (auto s = walk.add(host_path, guest_path, 0); !s) return std::move(s).error();
  return walk.take();
}

Result<std::vector<ProgramFile>> collect_test_file(const std::string& host_path,
                                                   const std::string& guest_path,
                                                   const ProgramSearch& search) {
  char magic[4] = {};
  std::ifstream(host_path, std::ios::binary).read(magic, sizeof(magic));
  const bool elf = std::string_view(magic, 4) ==
                   "\x7f"
                   "ELF",
             script = magic[0] == '#' && magic[1] == '!';
  const bool library = elf && shared_library_name(guest_path);
  if (!library && !((elf || script) && ::access(host_path.c_str(), X_OK) == 0)) {
    std::error_code ec;
    const std::string real = fs::canonical(host_path, ec);
    if (ec) return Error::not_found(host_path + ": " + ec.message());
    return std::vector<ProgramFile>{{guest_path, real}};
  }
  auto files = collect_program_files(host_path, guest_path, search);
  if (!files || !library) return files;
  const std::string in_loader_path = kDlopenFolder + fs::path(guest_path).filename().string();
  if (std::none_of(files->begin(), files->end(),
                   [&](const ProgramFile& f) { return f.guest_path == in_loader_path; }))
    files->push_back({in_loader_path, files->front().host_path});
  return files;
}

std::vector<ProgramFile> collect_common_libraries(const ProgramSearch& search) {
  Walk walk(search);
  for (const char* name : {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libelf.so.1",
                           "libz.so.1", "libbpf.so.1"})
    walk.add_library(name);
  walk.add_loader("/lib64/ld-linux-x86-64.so.2");
  std::vector<ProgramFile> files;
  for (ProgramFile& file : walk.take()) {
    const bool known = std::any_of(files.begin(), files.end(), [&](const ProgramFile& other) {
      return other.guest_path == file.guest_path;
    });
    if (!known) files.push_back(std::move(file));
  }
  return files;
}

std::string find_program(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) return ::access(name.c_str(), X_OK) == 0 ? name : "";
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (end > begin && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return "";
}

}  // namespace ktstr
