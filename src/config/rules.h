// SPDX-License-Identifier: Apache-2.0
// Makes keys out of rules: what a value may be, and the member of Config that it goes to.
#pragma once

#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/key.h"

namespace kata::config {

// The part of a configuration that a member belongs to.
template <typename Part>
Part& PartOf(Config& config) {
  if constexpr (std::is_same_v<Part, HypervisorConfig>) return config.hypervisor;
  if constexpr (std::is_same_v<Part, AgentConfig>) return config.agent;
  if constexpr (std::is_same_v<Part, RuntimeConfig>) return config.runtime;
}

// Rules of texts. Each error says what is allowed, and what was found.
using TextRule = std::function<Result<>(const std::string&)>;
Result<> Printable(const std::string& text);     // no control characters, at most 4096 bytes
Result<> AbsolutePath(const std::string& text);  // "/a/b": printable, without "." and ".." in it
Result<> AbsolutePathOrEmpty(const std::string& text);
TextRule OneOf(std::initializer_list<const char*> allowed);
Result<> LogLevel(const std::string& text);

// A number of processors: 0 to 1024, also fractions.
Result<double> PartsOfCpus(const Value& value);

// Rules of values out of a pod.
// The text is a path that one of the globs covers (fnmatch(3), "*" does not cross a "/"); with no globs, only own.
Result<> CoveredBy(const std::vector<std::string>& globs, const std::string& own, std::string_view globs_key,
                   const std::string& path);
// The text is a path in the directory of the operator's own.
Result<> InDirectoryOf(const std::string& own, const std::string& path);

template <typename Part>
Key Bool(std::string name, bool Part::*member, FromPod pod = FromPod::kGated) {
  return Key{.name = std::move(name),
             .type = Type::kBool,
             .set = [member](Config& config, const Value& value) -> Result<> {
               PartOf<Part>(config).*member = std::get<bool>(value);
               return {};
             },
             .pod = pod};
}

template <typename Part, typename Number>
Key Integer(std::string name, Number Part::*member, int64_t min, int64_t max, FromPod pod = FromPod::kGated) {
  return Key{.name = std::move(name),
             .type = Type::kInteger,
             .set = [=](Config& config, const Value& value) -> Result<> {
               const int64_t number = std::get<int64_t>(value);
               if (number < min || number > max) {
                 return Fail(Code::kInvalidArgument, "expected a number of {} to {}, found {}", min, max, number);
               }
               PartOf<Part>(config).*member = static_cast<Number>(number);
               return {};
             },
             .pod = pod};
}

template <typename Part>
Key Cpus(std::string name, double Part::*member) {
  return Key{
      .name = std::move(name), .type = Type::kNumber, .set = [member](Config& config, const Value& value) -> Result<> {
        PartOf<Part>(config).*member = TRY(PartsOfCpus(value));
        return {};
      }};
}

template <typename Part>
Key Text(std::string name, std::string Part::*member, TextRule rule, FromPod pod = FromPod::kGated) {
  return Key{.name = std::move(name),
             .type = Type::kString,
             .set = [=](Config& config, const Value& value) -> Result<> {
               TRY(rule(std::get<std::string>(value)));
               PartOf<Part>(config).*member = std::get<std::string>(value);
               return {};
             },
             .pod = pod};
}

template <typename Part>
Key List(std::string name, std::vector<std::string> Part::*member, TextRule rule, FromPod pod = FromPod::kNever) {
  return Key{.name = std::move(name),
             .type = Type::kList,
             .set = [=](Config& config, const Value& value) -> Result<> {
               for (const std::string& item : std::get<std::vector<std::string>>(value)) TRY(rule(item));
               PartOf<Part>(config).*member = std::get<std::vector<std::string>>(value);
               return {};
             },
             .pod = pod};
}

// A known key that has one valid value here: others are refused, since ignoring them would give another VM than was
// asked for. why ends the message.
Key MustBeFalse(std::string name, std::string why);
Key MustBe(std::string name, std::string only, std::string why);

// Known, and not used yet: a warning names it.
inline Key Unused(std::string name) { return Key{.name = std::move(name)}; }

}  // namespace kata::config
