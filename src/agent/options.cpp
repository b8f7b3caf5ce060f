// SPDX-License-Identifier: Apache-2.0
#include "agent/options.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The level names of logrus, which include those of the agent's own log.
std::optional<log::Level> ParseLevel(std::string_view name) {
  if (name == "trace") return log::Level::kDebug;
  if (name == "critical" || name == "fatal" || name == "panic") return log::Level::kError;
  return log::LevelFromName(name);
}

// False: the value is not valid for this word.
bool Set(Options& options, std::string_view name, std::string_view value) {
  if (name == contract::kLogWord) {
    const auto level = ParseLevel(value);
    if (level) options.log_level = *level;
    return level.has_value();
  }
  if (name == contract::kServerAddressWord) {
    options.server_address = value;
    return !value.empty();
  }
  if (name == contract::kPipeSizeWord) {
    const auto size = ParseNumber<uint32_t>(value);
    const bool good = size && *size <= INT32_MAX;
    if (good) options.pipe_size = *size;
    return good;
  }
  if (name == contract::kHotplugTimeoutWord) {
    const auto seconds = ParseNumber<uint32_t>(value);
    if (seconds) options.hotplug_timeout = std::chrono::seconds(*seconds);
    return seconds.has_value();
  }
  if (name == "agent.debug_console" || name == "agent.debug_console_vport") {
    log::Warn("{} is refused: this agent has no debug console", name);
    return true;
  }
  log::Warn("{} is not used by this agent", name);
  return true;
}

}  // namespace

Options ParseOptions(std::string_view text) {
  Options options;
  constexpr std::string_view kSpace = " \t\r\n";
  while (!text.empty()) {
    const size_t start = std::min(text.find_first_not_of(kSpace), text.size());
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    text.remove_prefix(word.size());
    if (!word.starts_with("agent.")) continue;
    const size_t equals = std::min(word.find('='), word.size());
    const std::string_view value = word.substr(std::min(equals + 1, word.size()));
    if (!Set(options, word.substr(0, equals), value)) log::Warn("{} is no value that the agent knows; left out", word);
  }
  return options;
}

}  // namespace kata::agent
