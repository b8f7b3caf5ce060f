// SPDX-License-Identifier: Apache-2.0
// Reads fields of a JSON document by name, with checks, and keeps the first error with the path of the field at fault.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kata::oci {

// The outcome of reading a document. After the first error every read gives an empty value, so that callers only look
// once.
struct Diagnosis {
  std::optional<Error> error;
  std::vector<std::string> warnings;
};

enum class Need { kOptional, kRequired };

// Reads text, at most limit bytes. Duplicate keys and excessive depth are errors, as is everything that is no JSON; the
// message begins with "name:line:column: " or "name: ".
Result<nlohmann::json> ParseJson(std::string_view text, size_t limit, std::string_view name);

// One object of the document, and its path ("process.user"; empty for the document itself).
class JsonObject {
 public:
  // value must live longer; anything but an object is an error.
  JsonObject(const nlohmann::json& value, std::string path, Diagnosis& diagnosis);

  const std::string& path() const { return path_; }
  std::string PathOf(std::string_view key) const;
  // There, and not null.
  bool Has(const char* key) const { return Find(key) != nullptr; }

  // A required string must not be empty; no string may hold a NUL, which would end it on its way to the kernel.
  std::string String(const char* key, Need need = Need::kOptional) const;
  bool Bool(const char* key, Need need = Need::kOptional) const;
  uint64_t Unsigned(const char* key, Need need = Need::kOptional,
                    uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  uint32_t Unsigned32(const char* key, Need need = Need::kOptional) const;
  int64_t Signed(const char* key, Need need = Need::kOptional, int64_t min = std::numeric_limits<int64_t>::min(),
                 int64_t max = std::numeric_limits<int64_t>::max()) const;

  // Calls read with the object at key, if there is one.
  void Child(const char* key, const std::function<void(const JsonObject&)>& read, Need need = Need::kOptional) const;
  // Calls read with each object of the array at key.
  void Each(const char* key, const std::function<void(const JsonObject&)>& read) const;
  void EachString(const char* key, const std::function<void(std::string)>& add) const;
  void EachUnsigned32(const char* key, const std::function<void(uint32_t)>& add) const;
  // Calls add with each name and value of the object at key, all of them strings.
  void EachPair(const char* key, const std::function<void(const std::string&, std::string)>& add) const;

  // A field that cannot be honoured: kUnimplemented when it is there and not empty, naming it.
  void Refuse(const char* key, std::string_view why) const;
  // A field that has no effect: a warning when it is there and not empty.
  void WarnIf(const char* key, std::string_view why) const;
  // An error of the field's value.
  void Fail(const char* key, std::string_view why) const;

 private:
  const nlohmann::json* Find(const char* key) const;
  const nlohmann::json* Array(const char* key) const;
  void Missing(const char* key) const;
  void Expected(const std::string& path, std::string_view what, const nlohmann::json& found) const;
  std::string StringAt(const nlohmann::json& value, const std::string& path) const;
  uint64_t UnsignedAt(const nlohmann::json& value, const std::string& path, uint64_t max) const;
  void SetError(Code code, const std::string& path, std::string_view why) const;

  const nlohmann::json* object_;  // nullptr when it was no object
  std::string path_;
  Diagnosis& diagnosis_;
};

}  // namespace kata::oci
