// SPDX-License-Identifier: Apache-2.0
// The description of a configuration key: its name, its type, the allowed values, and where the value is stored.
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

// Whether a pod may set the key by an annotation: never; if enable_annotations allows it; or always, because the key
// affects only the pod's own guest. In hypervisor tables kFree acts as kGated.
enum class FromPod { kNever, kGated, kFree };

struct Key {
  std::string name;
  Type type = Type::kString;
  // Checks and stores a value, which is of the type above. Empty: the key is known but not used yet.
  std::function<Result<>(Config&, const Value&)> set = {};
  FromPod pod = FromPod::kGated;
  std::string annotation = {};  // the last part of the annotation's name, if it differs from the key
  // An additional check of a pod's value, called before set with the operator's configuration.
  std::function<Result<>(const Config&, const std::string&)> check_pod = {};
  // If set: a pod's text is appended to the operator's, which this returns, instead of replacing it.
  std::function<std::string(const Config&)> appended_to = {};

  const std::string& annotation_name() const { return annotation.empty() ? name : annotation; }
  bool used() const { return static_cast<bool>(set); }
};

// A table of configuration.toml.
struct Section {
  std::string name;   // the table: "hypervisor.qemu"
  std::string group;  // its part of annotation names: "hypervisor"
  std::vector<Key> keys;
  std::vector<std::string> unused_tables;  // sub-tables that are known but not used yet

  const Key* Find(std::string_view key) const;
  const Key* FindAnnotation(std::string_view annotation) const;
  // ", did you mean X?" with the most similar key or sub-table; "" if none is similar.
  std::string Suggest(std::string_view key) const;
};

// Every section and key.
const std::vector<Section>& Sections();

std::vector<Key> HypervisorKeys();  // those that every hypervisor has
std::vector<Key> QemuKeys();
std::vector<Key> AgentKeys();
std::vector<Key> RuntimeKeys();

// Checks keys that depend on each other: memory and vCPUs against their maximum, and disable_new_netns against
// internetworking_model. kInvalidArgument; the message begins with the wrong key and names both.
Result<> CheckTogether(const Config& config);

// A value for a message: shortened, quoted, without control characters.
std::string Shown(const Value& value);
// ", did you mean X?" with the most similar of names; "" if none is similar.
std::string Suggestion(std::string_view wrong, const std::vector<std::string>& names);

}  // namespace kata::config
