// Kernel types out of the image, source lines out of its debug info.
#pragma once

#include "reproer/reproer.h"
#include "schemas/run_generated.h"

namespace ktstr {

// Reads the files that RunStarted names. What cannot be read is missing, with the reason; never fails.
KernelKnowledge load_kernel(const KernelInfoT& kernel);

}  // namespace ktstr
