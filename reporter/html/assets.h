// The parts of the page that are the same for every run, as the build put them into the program (embed_assets.cmake).
#pragma once

#include <string_view>

namespace ktstr {

extern const std::string_view kPageScript;      // page.js
extern const std::string_view kPageStyle;       // page.css, after the style of the plotting library
extern const std::string_view kPlottingScript;  // dygraphs, minified, with its licence notice

}  // namespace ktstr
