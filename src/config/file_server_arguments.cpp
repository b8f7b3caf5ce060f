// SPDX-License-Identifier: Apache-2.0
#include "config/file_server_arguments.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "config/key.h"

namespace kata::config {
namespace {

// Options of -o that an operator may set: they tune the daemon and give access to nothing. Those that end in '=' take a
// value. Without writeback: with it the guest's kernel trusts its own modification times, and would not notice changes
// by the host.
constexpr std::array<std::string_view, 17> kHarmless = {
    "announce_submounts", "flock",          "no_flock",        "posix_lock",         "no_posix_lock", "no_writeback",
    "readdirplus",        "no_readdirplus", "allow_direct_io", "no_allow_direct_io", "killpriv_v2",   "no_killpriv_v2",
    "posix_acl",          "no_posix_acl",   "timeout=",        "max_idle_threads=",  "log_level="};

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool IsHarmless(std::string_view option) {
  return std::any_of(kHarmless.begin(), kHarmless.end(), [option](std::string_view known) {
    return known.back() == '=' ? option.substr(0, known.size()) == known && option.size() > known.size()
                               : option == known;
  });
}

tl::unexpected<Error> Refuse(std::string_view argument) {
  return Fail(Code::kInvalidArgument, "{} is not accepted; known are --thread-pool-size=NUMBER, and -o with {}",
              Shown(std::string(argument)), fmt::join(kHarmless, ", "));
}

Result<> AddOptions(std::string_view list, std::vector<std::string>& argv) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view option = list.substr(0, comma);
    if (!IsHarmless(option)) return Refuse(option);
    argv.emplace_back("-o");
    argv.emplace_back(option);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> FileServerArguments(const std::vector<std::string>& extra) {
  constexpr std::string_view kPool = "--thread-pool-size=";
  std::vector<std::string> argv;
  for (size_t i = 0; i < extra.size(); ++i) {
    const std::string_view word = extra[i];
    if (word.substr(0, kPool.size()) == kPool && IsNumber(word.substr(kPool.size()))) {
      argv.emplace_back(word);
    } else if (word == "-o" && i + 1 < extra.size()) {
      TRY(AddOptions(extra[++i], argv));
    } else if (word == "--announce-submounts") {  // the spelling of newer versions of virtiofsd
      TRY(AddOptions("announce_submounts", argv));
    } else if (word.empty() || word.front() != '-') {
      TRY(AddOptions(word, argv));
    } else {
      return Refuse(word);
    }
  }
  // Whoever sets the list for something else would otherwise get one st_dev for all file systems of the host, by which
  // cp(1) and rsync(1) take two files for one.
  if (std::find(argv.begin(), argv.end(), "announce_submounts") == argv.end())
    TRY(AddOptions("announce_submounts", argv));
  return argv;
}

}  // namespace kata::config
