// SPDX-License-Identifier: Apache-2.0
// Builds keys from a rule for the allowed values and the member of Config that stores the value.
#pragma once

#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/key.h"

namespace kata::config {

// The sub-struct of Config that has the type Part.
template <typename Part>
Part& PartOf(Config& config) {
  if constexpr (std::is_same_v<Part, HypervisorConfig>) return config.hypervisor;
  if constexpr (std::is_same_v<Part, AgentConfig>) return config.agent;
  if constexpr (std::is_same_v<Part, RuntimeConfig>) return config.runtime;
}

// Rules for strings. All fail with kInvalidArgument and say what is allowed and what was found.
using TextRule = std::function<Result<>(const std::string&)>;
Result<> Printable(const std::string& text);     // no control characters, at most 4096 bytes
Result<> AbsolutePath(const std::string& text);  // "/a/b": printable, without "." and ".." components and "//"
Result<> AbsolutePathOrEmpty(const std::string& text);
TextRule OneOf(std::initializer_list<const char*> allowed);
Result<> LogLevel(const std::string& text);

// A number of CPUs: 0 to 1024, fractions included.
Result<double> PartsOfCpus(const Value& value);

// Rules for a pod's values. Both fail with kPermissionDenied, or as AbsolutePath.
// path must match one of the globs (fnmatch(3), "*" does not match "/"); without globs it must be own.
Result<> CoveredBy(const std::vector<std::string>& globs, const std::string& own, std::string_view globs_key,
                   const std::string& path);
// path must be in the same directory as own, the operator's file.
Result<> InDirectoryOf(const std::string& own, const std::string& path);

// Keys by the type of their value, which is stored in a member of Config. min and max are inclusive.
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

// A known key for which only one value is supported. Other values are refused with kUnimplemented, since ignoring them
// would give a VM that differs from what was asked for. why is the end of the message.
Key MustBeFalse(std::string name, std::string why);
Key MustBeTrue(std::string name, std::string why);
Key MustBe(std::string name, std::string only, std::string why);

// A key that is known but not used yet; a warning names it.
inline Key Unused(std::string name) { return Key{.name = std::move(name)}; }

}  // namespace kata::config
