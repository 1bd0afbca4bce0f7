#include "reporter/html/html_page.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/json.h"
#include "base/sha256.h"
#include "base/small_files.h"
#include "reporter/format.h"
#include "reporter/html/assets.h"
#include "reporter/html/page_data.h"
#include "version.h"

namespace ktstr {
namespace {

// A hash of Content-Security-Policy: base64 of SHA-256.
std::string source_hash(std::string_view text) {
  Sha256 sha;
  sha.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  const std::string digits = sha.hex();
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "'sha256-";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63];
  }
  return out + "'";
}

std::string data_element(std::string_view id) {
  return fmt::format("<script type=\"application/json\" id=\"{}\">", id);
}

OrderedJson index_of(std::span<const JudgedTest> tests) {
  OrderedJson rows = OrderedJson::array();
  size_t id = 0;
  for (const JudgedTest& test : tests) {
    const RunFacts& last = test.last();
    uint64_t ns = 0;
    OrderedJson tries = OrderedJson::array();
    for (const RunFacts& one : test.tries) {
      ns += one.duration_ns;
      tries.push_back({{"try", one.try_number},
                       {"outcome", outcome_name(one.outcome)},
                       {"data", one.page.size ? OrderedJson(id) : OrderedJson()}});
      ++id;
    }
    rows.push_back({{"name", test.shown_name()},
                    {"status", status_name(test.status())},
                    {"file", last.file},
                    {"line", last.line},
                    {"scheduler", last.scheduler},
                    {"kernel", last.kernel},
                    {"topology", last.topology},
                    {"accelerator", last.accelerator},
                    {"duration_ms", ns / 1'000'000},
                    {"summary", last.summary},
                    {"signature", last.signature},
                    {"tries", std::move(tries)}});
  }
  return {{"version", 1}, {"counts", count_words(tests)}, {"tests", std::move(rows)}};
}

// A file beside `path` that takes its name when it is complete.
class NewFile {
 public:
  explicit NewFile(std::string path)
      : path_(std::move(path)), new_path_(path_ + ".new." + std::to_string(::getpid())) {
    ::unlink(new_path_.c_str());
    fd_ = UniqueFd(::open(new_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  }
  ~NewFile() {
    if (fd_) ::unlink(new_path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Status opened() const { return fd_ ? Status() : Status(Error::from_errno("create " + new_path_)); }
  int fd() const { return fd_.get(); }
  Status write(std::string_view text) { return write_all(fd_.get(), text, "write " + path_); }
  Status finish() {
    if (::rename(new_path_.c_str(), path_.c_str()) != 0) return Error::from_errno("rename to " + path_);
    fd_.reset();
    return {};
  }

 private:
  std::string path_, new_path_;
  UniqueFd fd_;
};

}  // namespace

std::string page_head(std::string_view title) {
  // The scripts are checked by their hashes; data elements are no scripts to a browser.
  const std::string policy = fmt::format(
      "default-src 'none'; script-src {} {}; style-src {}; img-src data:; base-uri 'none'; form-action "
      "'none'",
      source_hash(kPlottingScript), source_hash(kPageScript), source_hash(kPageStyle));
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" "
      "content=\"no-referrer\">\n"
      "<meta name=\"generator\" content=\"ktstr {}\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n"
      "<noscript>This page shows its tests by script. The same report as text: ktstr-launch replay "
      "LOG.</noscript>\n"
      "<div id=\"page\"></div>\n",
      policy, kVersion, xml_text(title), kPageStyle);
}

std::string page_tail() {
  return fmt::format("<script>{}</script>\n<script>{}</script>\n</body>\n</html>\n", kPlottingScript,
                     kPageScript);
}

Result<HtmlPage> HtmlPage::create(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::from_errno("--html " + folder + ": make the folder");
  UniqueFd store(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!store) {  // a file system without nameless files
    std::string name = folder + "/.page-XXXXXX";
    store = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
    if (!store) return Error::from_errno("--html " + folder + ": write there");
    ::unlink(name.c_str());
  }
  return HtmlPage(folder, std::move(store));
}

Result<PagePart> HtmlPage::add(std::string_view data) {
  const PagePart part{.offset = stored_, .size = data.size()};
  if (auto s = write_all(store_.get(), data, "--html " + folder_ + ": keep a test's data"); !s)
    return std::move(s).error();
  stored_ += data.size();
  return part;
}

Status HtmlPage::copy(const PagePart& part, int to) const {
  std::array<char, 64 << 10> block;
  for (uint64_t at = 0; at < part.size;) {
    const size_t wanted = std::min<uint64_t>(block.size(), part.size - at);
    const ssize_t got = ::pread(store_.get(), block.data(), wanted, static_cast<off_t>(part.offset + at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error::from_errno("--html " + folder_ + ": read a test's data");
    if (auto s = write_all(to, {block.data(), static_cast<size_t>(got)}, "write " + folder_ + "/index.html");
        !s)
      return s;
    at += static_cast<uint64_t>(got);
  }
  return {};
}

Status HtmlPage::write(std::span<const JudgedTest> tests) {
  NewFile file(folder_ + "/index.html");
  if (auto s = file.opened(); !s) return s;
  const std::string title =
      tests.size() == 1 ? tests[0].shown_name() + ": " + status_name(tests[0].status()) : count_words(tests);
  if (auto s = file.write(page_head("ktstr: " + title)); !s) return s;
  if (auto s = file.write(data_element("index") + for_script(json_text(index_of(tests))) + "</script>\n"); !s)
    return s;
  size_t id = 0;
  for (const JudgedTest& test : tests) {
    for (const RunFacts& one : test.tries) {
      const size_t here = id++;
      if (one.page.size == 0) continue;
      if (auto s = file.write(data_element("data" + std::to_string(here))); !s) return s;
      if (auto s = copy(one.page, file.fd()); !s) return s;
      if (auto s = file.write("</script>\n"); !s) return s;
    }
  }
  if (auto s = file.write(page_tail()); !s) return s;
  return file.finish();
}

}  // namespace ktstr
