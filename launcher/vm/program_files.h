// The files that one executable needs at run time, found as the dynamic loader would find them, without
// running it.
//
// DT_NEEDED is walked with DT_RPATH (inherited), DT_RUNPATH, $ORIGIN and $LIB, then the directories of
// /etc/ld.so.conf, then the standard ones; LD_LIBRARY_PATH is not looked at. PT_INTERP comes along. A script
// brings its interpreter (and, for `#!/usr/bin/env X`, env and X). Limits: x86-64 ELF; libraries that a
// program opens with dlopen() are not seen.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct ProgramFile {
  std::string guest_path;  // where the guest's loader will look
  std::string host_path;   // real file on the host, links resolved
};

struct ProgramSearch {
  std::string root;  // prefix of every host path; for tests. Empty: "/"
  std::string path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";  // for `env X`
};

// The first entry is the program itself. kNotFound: program or library missing (named, with who needs it);
// kInvalid: neither ELF nor script, not executable, a directory; kUnsupported: not x86-64.
Result<std::vector<ProgramFile>> collect_program_files(const std::string& host_path,
                                                       const std::string& guest_path,
                                                       const ProgramSearch& search = {});

// A file of a spec's `files`, at `guest_path`. A program, a script or a shared library brings what it needs; a shared library
// is also put into a folder where the loader looks for what is opened by dlopen(). Any other file comes alone.
Result<std::vector<ProgramFile>> collect_test_file(const std::string& host_path,
                                                   const std::string& guest_path,
                                                   const ProgramSearch& search = {});

// The libraries that most schedulers and payloads are linked with (C, C++, libbpf and what it needs) and their loader, as far as
// this host has them. A VM that has them from its start is handed only what else its programs need.
std::vector<ProgramFile> collect_common_libraries(const ProgramSearch& search = {});

// The program that a shell would find; `path`: as $PATH. Empty: none.
std::string find_program(const std::string& name, const std::string& path);

}  // namespace ktstr
