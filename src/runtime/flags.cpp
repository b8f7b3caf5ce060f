// SPDX-License-Identifier: Apache-2.0
#include "runtime/flags.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>

namespace kata::runtime {
namespace {

// A parsed word.
struct Flag {
  std::string written;  // the flag as written, without its value: "--tty"
  std::string name;
  std::optional<std::string> value;
};

std::optional<Flag> AsFlag(const std::string& word) {
  if (word.size() < 2 || word[0] != '-') return std::nullopt;
  const size_t dashes = word[1] == '-' ? 2 : 1;
  const size_t equals = word.find('=', dashes);
  Flag flag{.written = word.substr(0, equals), .name = "", .value = std::nullopt};
  flag.name = flag.written.substr(dashes);
  if (equals != std::string::npos) flag.value = word.substr(equals + 1);
  return flag;
}

// A negative number after the first argument is no flag but an argument: for kill, an invalid signal.
bool IsNumber(const std::string& word) { return std::isdigit(static_cast<unsigned char>(word[1])) != 0; }

CLI::Option* Find(CLI::App& app, const std::string& name) {
  return app.get_option_no_throw((name.size() == 1 ? "-" : "--") + name);
}

// Converts each value at once, so that an error can quote the word.
bool Set(CLI::Option& option, const std::string& value) {
  // Keeps CLI11 from splitting a value of the form [a,b].
  option.allow_extra_args(false);
  try {
    option.add_result(value);
    option.run_callback();
  } catch (const CLI::Error&) {
    return false;
  }
  return true;
}

}  // namespace

tl::expected<std::vector<std::string>, std::string> ReadFlags(CLI::App& app, const std::vector<std::string>& words,
                                                              bool command_follows) {
  std::vector<std::string> arguments;
  size_t next = 0;
  while (next < words.size() && !(command_follows && !arguments.empty())) {
    const std::string& word = words[next++];
    if (word == "--") break;
    std::optional<Flag> flag = AsFlag(word);
    if (!flag || (!arguments.empty() && IsNumber(word))) {
      arguments.push_back(word);
      continue;
    }
    CLI::Option* option = Find(app, flag->name);
    if (option == nullptr) return tl::unexpected("flag provided but not defined: " + flag->written);
    const bool is_switch = option->get_items_expected_max() == 0;
    if (!flag->value && is_switch) flag->value = "true";
    if (!flag->value && next == words.size()) return tl::unexpected("flag needs an argument: " + flag->written);
    if (!flag->value) flag->value = words[next++];
    if (!Set(*option, *flag->value)) {
      return tl::unexpected(fmt::format("invalid value \"{}\" for flag {}", *flag->value, flag->written));
    }
  }
  arguments.insert(arguments.end(), words.begin() + static_cast<std::ptrdiff_t>(next), words.end());
  return arguments;
}

}  // namespace kata::runtime
