// SPDX-License-Identifier: Apache-2.0
// One key of the configuration: its name, its type, what it may be, and where its value goes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace kata::config {

using Value = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;
enum class Type { kBool, kInteger, kNumber, kString, kList };

// Whether a pod may set the key by an annotation: never; if enable_annotations names it; or always, because it concerns
// nothing but the pod's own guest.
enum class FromPod { kNever, kGated, kFree };

struct Key {
  std::string name;
  Type type = Type::kString;
  // Checks the value, which has the type above, and stores it. Empty: the key is known and not used yet.
  std::function<Result<>(Config&, const Value&)> set = {};
  FromPod pod = FromPod::kGated;
  std::string annotation = {};  // its base name, where it is not the key's
  // For values out of a pod, before set: given the operator's configuration.
  std::function<Result<>(const Config&, const std::string&)> check_pod = {};
  // A pod's text is put behind the operator's instead of replacing it.
  std::function<std::string(const Config&)> appended_to = {};

  const std::string& annotation_name() const { return annotation.empty() ? name : annotation; }
  bool used() const { return static_cast<bool>(set); }
};

// A table of configuration.toml, and the word in its annotations' names.
struct Section {
  std::string name;   // "hypervisor.qemu"
  std::string group;  // "hypervisor"
  std::vector<Key> keys;
  std::vector<std::string> unused_tables;  // tables below it that are known and not used yet

  const Key* Find(std::string_view key) const;
  const Key* FindAnnotation(std::string_view annotation) const;
  // ", did you mean X?" with the nearest name, or nothing.
  std::string Suggest(std::string_view key) const;
};

// Every section and key, in the order of docs/configuration.md.
const std::vector<Section>& Sections();

std::vector<Key> HypervisorKeys();  // of every hypervisor
std::vector<Key> QemuKeys();
std::vector<Key> AgentKeys();
std::vector<Key> RuntimeKeys();

// Values that depend on each other: memory and vCPUs against their ceilings. The message names both keys.
Result<> CheckTogether(const Config& config);

// A value as it is shown in a message: short, quoted, without control characters.
std::string Shown(const Value& value);
// ", did you mean X?" with the nearest of names, or nothing.
std::string Suggestion(std::string_view wrong, const std::vector<std::string>& names);

}  // namespace kata::config
