// SPDX-License-Identifier: Apache-2.0
#include "config/rules.h"

#include <fnmatch.h>

#include <algorithm>

namespace kata::config {
namespace {

constexpr size_t kMaxText = 4096;

bool IsNormalized(const std::string& path) {
  return path.starts_with('/') && ("/" + path + "/").find("/./") == std::string::npos &&
         (path + "/").find("/../") == std::string::npos && path.find("//") == std::string::npos;
}

}  // namespace

Result<> Printable(const std::string& text) {
  if (text.size() > kMaxText) {
    return Fail(Code::kInvalidArgument, "expected at most {} bytes, found {}", kMaxText, text.size());
  }
  const bool control = std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; });
  if (control) return Fail(Code::kInvalidArgument, "expected no control characters, found {}", Shown(text));
  return {};
}

Result<> AbsolutePath(const std::string& text) {
  TRY(Printable(text));
  if (IsNormalized(text)) return {};
  return Fail(Code::kInvalidArgument, "expected an absolute path without \".\" and \"..\", found {}", Shown(text));
}

Result<> AbsolutePathOrEmpty(const std::string& text) {
  if (text.empty()) return {};
  return AbsolutePath(text);
}

TextRule OneOf(std::initializer_list<const char*> allowed) {
  return [names = std::vector<std::string>(allowed.begin(), allowed.end())](const std::string& text) -> Result<> {
    if (std::find(names.begin(), names.end(), text) != names.end()) return {};
    return Fail(Code::kInvalidArgument, "expected one of {}, found {}", fmt::join(names, ", "), Shown(text));
  };
}

Result<> LogLevel(const std::string& text) {
  return OneOf({"trace", "debug", "info", "warn", "warning", "error", "critical"})(text);
}

Result<double> PartsOfCpus(const Value& value) {
  constexpr double kMost = 1024;
  const double number = std::get<double>(value);
  if (number >= 0 && number <= kMost) return number;
  return Fail(Code::kInvalidArgument, "expected a number of 0 to {}, found {}", kMost, number);
}

Result<> CoveredBy(const std::vector<std::string>& globs, const std::string& own, std::string_view globs_key,
                   const std::string& path) {
  TRY(AbsolutePath(path));
  if (globs.empty() && path == own) return {};
  for (const std::string& glob : globs) {
    if (::fnmatch(glob.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) return {};
  }
  return Fail(Code::kPermissionDenied, "{} is not among the paths that {} allows", Shown(path), globs_key);
}

Result<> InDirectoryOf(const std::string& own, const std::string& path) {
  TRY(AbsolutePath(path));
  const std::string directory = own.substr(0, own.rfind('/') + 1);
  if (!directory.empty() && path.starts_with(directory) && path.find('/', directory.size()) == std::string::npos)
    return {};
  return Fail(Code::kPermissionDenied, "{} is not in the directory of the configured file, {}", Shown(path),
              own.empty() ? "of which there is none" : directory);
}

Key MustBeFalse(std::string name, std::string why) {
  return Key{.name = std::move(name),
             .type = Type::kBool,
             .set = [why = std::move(why)](Config&, const Value& value) -> Result<> {
               if (!std::get<bool>(value)) return {};
               return Fail(Code::kUnimplemented, "cannot be true: {}", why);
             }};
}

Key MustBeTrue(std::string name, std::string why) {
  return Key{.name = std::move(name),
             .type = Type::kBool,
             .set = [why = std::move(why)](Config&, const Value& value) -> Result<> {
               if (std::get<bool>(value)) return {};
               return Fail(Code::kUnimplemented, "cannot be false: {}", why);
             }};
}

Key MustBe(std::string name, std::string only, std::string why) {
  return Key{.name = std::move(name),
             .type = Type::kString,
             .set = [only = std::move(only), why = std::move(why)](Config&, const Value& value) -> Result<> {
               if (std::get<std::string>(value) == only) return {};
               return Fail(Code::kUnimplemented, "expected \"{}\", found {}: {}", only, Shown(value), why);
             }};
}

}  // namespace kata::config
