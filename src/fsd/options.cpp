// SPDX-License-Identifier: Apache-2.0
#include "fsd/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <optional>
#include <string_view>
#include <utility>

namespace kata::fsd {

namespace {

// Of -o: what holds always, and so may be said.
constexpr std::array<std::string_view, 7> kAlways = {"no_writeback", "no_flock", "no_posix_lock",    "killpriv_v2",
                                                     "posix_acl",    "xattr",    "sandbox=namespace"};
// Of -o: what is meant for virtiofsd and has no use here. xattrmap: extended attributes have their own rules.
// max_idle_threads: few threads are idle here (vhost_user_workers.h).
constexpr std::array<std::string_view, 2> kIgnored = {"xattrmap=", "max_idle_threads="};

template <typename T>
std::optional<T> Number(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The value of a word that begins with the name, which ends with '='.
std::optional<std::string_view> ValueOf(std::string_view word, std::string_view name) {
  if (!word.starts_with(name)) return std::nullopt;
  return word.substr(name.size());
}

template <typename T>
Result<> SetNumber(std::string_view word, std::string_view text, T least, T most, T& number) {
  const auto parsed = Number<T>(text);
  if (!parsed || *parsed < least || *parsed > most) {
    return Fail(Code::kInvalidArgument, "{}: not a number from {} to {}", word, least, most);
  }
  number = *parsed;
  return {};
}

Result<> SetCache(std::string_view name, Options& options) {
  constexpr std::pair<std::string_view, Cache> kNames[] = {
      {"none", Cache::kNever}, {"never", Cache::kNever}, {"auto", Cache::kAuto}, {"always", Cache::kAlways}};
  const auto* found =
      std::find_if(std::begin(kNames), std::end(kNames), [&](auto& pair) { return pair.first == name; });
  if (found == std::end(kNames)) return Fail(Code::kInvalidArgument, "-o cache={}: not none, auto or always", name);
  options.cache = found->second;
  return {};
}

Result<> SetLevel(std::string_view name, Options& options) {
  const auto level = name == "err" ? log::Level::kError : log::LevelFromName(name);
  if (!level) return Fail(Code::kInvalidArgument, "-o log_level={}: not err, warn, info or debug", name);
  options.level = *level;
  return {};
}

// One option of -o.
Result<> SetMountOption(const std::string& option, Options& options) {
  if (std::find(kAlways.begin(), kAlways.end(), option) != kAlways.end()) return {};
  for (const std::string_view ignored : kIgnored) {
    if (ValueOf(option, ignored)) return {};
  }
  if (const auto value = ValueOf(option, "cache=")) return SetCache(*value, options);
  if (const auto value = ValueOf(option, "timeout=")) {
    uint64_t seconds = 0;
    TRY(SetNumber(option, *value, uint64_t{0}, uint64_t{86400}, seconds));
    options.timeout = seconds;
    return {};
  }
  if (const auto value = ValueOf(option, "log_level=")) return SetLevel(*value, options);
  if (const auto value = ValueOf(option, "source=")) {
    options.source = *value;
    return {};
  }
  if (option == "announce_submounts") {
    options.announce_submounts = true;
    return {};
  }
  if (option == "readdirplus" || option == "no_readdirplus") {
    options.readdirplus = option == "readdirplus";
    return {};
  }
  return Fail(Code::kInvalidArgument, "-o {}: not known", option);
}

// A list of -o: a comma ends an option, unless it comes after a backslash.
Result<> SetMountOptions(std::string_view list, Options& options) {
  std::string option;
  for (size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || list[i] == ',') {
      if (!option.empty()) TRY(SetMountOption(option, options));
      option.clear();
      continue;
    }
    if (list[i] == '\\' && i + 1 < list.size()) ++i;
    option += list[i];
  }
  return {};
}

Result<> SetWord(std::string_view word, Options& options) {
  if (word == "-f") return {};  // stay in the foreground, as it always does
  if (word == "--version") {
    options.version = true;
    return {};
  }
  if (const auto value = ValueOf(word, "--fd=")) return SetNumber(word, *value, 0, INT_MAX, options.listener);
  if (const auto value = ValueOf(word, "--rlimit-nofile=")) {
    return SetNumber(word, *value, uint64_t{0}, UINT64_MAX, options.max_files);
  }
  if (const auto value = ValueOf(word, "--thread-pool-size=")) {
    // Each thread may need a few descriptors at once, and DescriptorReserve keeps 256 for all.
    TRY(SetNumber(word, *value, 0U, 64U, options.threads));
    // For virtiofsd these are further threads. Here one would block all other requests as long as one takes.
    options.threads = std::max(options.threads, 2U);
    return {};
  }
  return Fail(Code::kInvalidArgument, "{}: not known", word);
}

}  // namespace

Result<Options> ParseOptions(std::span<char* const> words) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "-o") {
      if (i + 1 == words.size()) return Fail(Code::kInvalidArgument, "-o: no option follows");
      TRY(SetMountOptions(words[++i], options));
    } else {
      TRY(SetWord(word, options));
    }
  }
  if (options.version) return options;
  if (options.source.empty()) return Fail(Code::kInvalidArgument, "-o source=DIR is needed");
  if (options.listener < 0) return Fail(Code::kInvalidArgument, "--fd=NUMBER is needed");
  return options;
}

}  // namespace kata::fsd
