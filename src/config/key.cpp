// SPDX-License-Identifier: Apache-2.0
#include "config/key.h"

#include <algorithm>
#include <numeric>

namespace kata::config {
namespace {

std::vector<Key> Both(std::vector<Key> keys, std::vector<Key> more) {
  for (Key& key : more) keys.push_back(std::move(key));
  return keys;
}

constexpr size_t kMaxShown = 80;

// The Levenshtein distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text.substr(0, kMaxShown)) quoted += (c >= 0 && c < ' ') || c == 0x7f ? '?' : c;
  return quoted + (text.size() > kMaxShown ? "...\"" : "\"");
}

}  // namespace

std::string Shown(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return Quoted(*text);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return "a list";
}

std::string Suggestion(std::string_view wrong, const std::vector<std::string>& names) {
  // Longer than any key, so not a typing error.
  if (wrong.size() > 64) return "";
  size_t best = std::max<size_t>(1, wrong.size() / 3) + 1;
  std::string_view nearest;
  for (const std::string& name : names) {
    if (const size_t distance = Distance(wrong, name); distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest);
}

const Key* Section::Find(std::string_view key) const {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& known) { return known.name == key; });
  return found == keys.end() ? nullptr : &*found;
}

const Key* Section::FindAnnotation(std::string_view annotation) const {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const Key& known) { return known.annotation_name() == annotation; });
  return found == keys.end() ? nullptr : &*found;
}

std::string Section::Suggest(std::string_view key) const {
  std::vector<std::string> names = unused_tables;
  for (const Key& known : keys) names.push_back(known.name);
  return Suggestion(key, names);
}

const std::vector<Section>& Sections() {
  static const std::vector<Section> sections = {
      {"hypervisor.qemu", "hypervisor", Both(HypervisorKeys(), QemuKeys()), {"factory"}},
      {"agent.kata", "agent", AgentKeys(), {"mem_agent"}},
      {"runtime", "runtime", RuntimeKeys(), {}},
  };
  return sections;
}

Result<> CheckTogether(const Config& config) {
  const HypervisorConfig& hypervisor = config.hypervisor;
  if (hypervisor.default_maxmemory != 0 && hypervisor.default_memory > hypervisor.default_maxmemory) {
    return Fail(Code::kInvalidArgument, "{}.default_memory: {} MiB is more than default_maxmemory, {} MiB",
                hypervisor.Table(), hypervisor.default_memory, hypervisor.default_maxmemory);
  }
  if (hypervisor.default_maxvcpus != 0 && hypervisor.default_vcpus > hypervisor.default_maxvcpus) {
    return Fail(Code::kInvalidArgument, "{}.default_vcpus: {} is more than default_maxvcpus, {}", hypervisor.Table(),
                hypervisor.default_vcpus, hypervisor.default_maxvcpus);
  }
  if (config.runtime.disable_new_netns && config.runtime.internetworking_model != "none") {
    return Fail(
        Code::kInvalidArgument,
        "runtime.disable_new_netns: needs internetworking_model = \"none\": a guest that is connected to a pod's "
        "network belongs into it");
  }
  return {};
}

}  // namespace kata::config
