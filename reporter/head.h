// The lines between the error line and the sections: what the summary rests on, when it happened, its signature and how often it
// was seen, what usually mends it. With the two lines before them at most ten.
#pragma once

#include <string>
#include <vector>

#include "reporter/judge.h"
#include "reporter/run_model.h"

namespace ktstr {

std::vector<std::string> head_lines(const RunModel& model, const Judgement& judgement);

}  // namespace ktstr
