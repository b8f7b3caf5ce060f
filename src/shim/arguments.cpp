// SPDX-License-Identifier: Apache-2.0
#include "shim/arguments.h"

#include <algorithm>
#include <string_view>

namespace kata::shim {
namespace {

struct TextFlag {
  std::string_view name;
  std::string Arguments::*value;  // null: accepted and ignored
};
constexpr TextFlag kTextFlags[] = {{"namespace", &Arguments::namespace_name},
                                   {"id", &Arguments::id},
                                   {"address", &Arguments::address},
                                   {"socket", &Arguments::socket},
                                   {"config", &Arguments::config},
                                   {"systemd-cgroup", &Arguments::systemd_cgroup},
                                   {"publish-binary", nullptr},  // events are sent over ttRPC
                                   {"bundle", nullptr}};         // the record names the bundle

Result<Action> ActionOf(const std::string& word) {
  if (word == "start") return Action::kStart;
  if (word == "delete") return Action::kDelete;
  return Fail(Code::kInvalidArgument, "unknown action \"{}\": it is start or delete", word);
}

}  // namespace

Result<Arguments> ParseArguments(const std::vector<std::string>& words) {
  Arguments arguments;
  size_t at = 0;
  for (; at < words.size() && words[at].starts_with('-'); ++at) {
    std::string_view word = words[at];
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const std::string_view name = word.substr(0, word.find('='));
    if (name == "v" || name == "version") {
      arguments.action = Action::kVersion;
      return arguments;
    }
    if (name == "info") {
      arguments.action = Action::kInfo;
      return arguments;
    }
    if (name == "debug") {
      arguments.debug = word == name || word == "debug=true" || word == "debug=1";
      continue;
    }
    const auto* flag = std::find_if(std::begin(kTextFlags), std::end(kTextFlags),
                                    [name](const TextFlag& one) { return one.name == name; });
    if (flag == std::end(kTextFlags)) return Fail(Code::kInvalidArgument, "unknown flag -{}", name);
    const bool attached = word.size() > name.size();
    if (!attached && ++at == words.size()) return Fail(Code::kInvalidArgument, "-{} needs a value", name);
    if (flag->value != nullptr) arguments.*flag->value = attached ? word.substr(name.size() + 1) : words[at];
  }
  if (at + 1 < words.size()) return Fail(Code::kInvalidArgument, "too many arguments: \"{}\"", words[at + 1]);
  if (at < words.size()) arguments.action = TRY(ActionOf(words[at]));
  if (arguments.id.empty()) return Fail(Code::kInvalidArgument, "-id is missing: this program is run by containerd");
  if (arguments.namespace_name.empty()) return Fail(Code::kInvalidArgument, "-namespace is missing");
  return arguments;
}

}  // namespace kata::shim
