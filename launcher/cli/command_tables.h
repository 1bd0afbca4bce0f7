// What --help knows, in other forms: completions of shells and a manual page. Made from the parser itself, so that they cannot
// differ from it.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace ktstr {

// `shell`: "bash", "zsh", "fish".
std::string completions(const CLI::App& app, const std::string& shell);
// troff, section 1.
std::string man_page(const CLI::App& app);

}  // namespace ktstr
