// What the page shows of one run, as one line of JSON that can stand in an element <script type="application/json">: it holds no
// "<", so nothing in it ends the element or begins a comment. Texts are printable. page.js reads it.
#pragma once

#include <string>
#include <string_view>

#include "reporter/format.h"
#include "reporter/html/run_picture.h"

namespace ktstr {

// `brief`: without logs and series, for a page that is too large.
std::string page_data(const JudgedRun& run, const RunPicture& picture, bool brief = false);

// `json` with each "<", ">" and "&" of its strings as an escape of JSON.
std::string for_script(std::string json);

}  // namespace ktstr
