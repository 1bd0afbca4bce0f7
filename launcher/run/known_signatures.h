// How often a crash was seen before: each run of a crash leaves its signature in a small file beside its log, and a later run
// counts the files that hold the same. Never part of a verdict.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/run/folders.h"
#include "schemas/run_generated.h"

namespace ktstr {

inline constexpr char kSignatureFile[] = "signature";

// Where runs are kept on this machine; empty: no HOME.
std::string kept_runs(const FolderOptions& options);

// Leaves `signature` in the folder of a run's log.
Status keep_signature(const std::string& folder, const std::string& signature);

// The runs below `roots` that had `signature`, without the one in `own_folder`. Nullopt: none. Looks at 20,000 files at most.
std::optional<SignatureKnownT> find_known(const std::string& signature, const std::vector<std::string>& roots,
                                          const std::string& own_folder);

}  // namespace ktstr
