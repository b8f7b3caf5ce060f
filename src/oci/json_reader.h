// SPDX-License-Identifier: Apache-2.0
// Reads the fields of a JSON document by name, checks them, and keeps the first error with the path of the wrong field.
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

// The outcome of reading a document. After the first error every read returns an empty value, so that callers need to
// check for an error only once, at the end.
struct Diagnosis {
  std::optional<Error> error;
  std::vector<std::string> warnings;
};

enum class Need { kOptional, kRequired };

// Parses a document. Duplicate keys are errors. kOutOfRange: more than limit bytes; kInvalidArgument: not JSON, too
// deeply nested, or a duplicate key. The message begins with "name:line:column: " or "name: ".
Result<nlohmann::json> ParseJson(std::string_view text, size_t limit, std::string_view name);

// One object of the document, with its path ("process.user"; empty for the document itself). A field that is null
// counts as absent. A missing optional field reads as "", false or 0. A field that is wrong, or required and missing,
// is a kInvalidArgument in the Diagnosis.
class JsonObject {
 public:
  // value and diagnosis must outlive this object. A value that is not an object is an error.
  JsonObject(const nlohmann::json& value, std::string path, Diagnosis& diagnosis);

  const std::string& path() const { return path_; }
  std::string PathOf(std::string_view key) const;
  // Whether the field is present and not null; false after an error.
  bool Has(const char* key) const { return Find(key) != nullptr; }

  // A required string must not be empty. No string may hold a NUL character, which would truncate it in system calls.
  std::string String(const char* key, Need need = Need::kOptional) const;
  bool Bool(const char* key, Need need = Need::kOptional) const;
  uint64_t Unsigned(const char* key, Need need = Need::kOptional,
                    uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  uint32_t Unsigned32(const char* key, Need need = Need::kOptional) const;
  int64_t Signed(const char* key, Need need = Need::kOptional, int64_t min = std::numeric_limits<int64_t>::min(),
                 int64_t max = std::numeric_limits<int64_t>::max()) const;

  // Calls read with the object at key, if the field is present.
  void Child(const char* key, const std::function<void(const JsonObject&)>& read, Need need = Need::kOptional) const;
  // Calls read with each object of the array at key.
  void Each(const char* key, const std::function<void(const JsonObject&)>& read) const;
  void EachString(const char* key, const std::function<void(std::string)>& add) const;
  void EachUnsigned32(const char* key, const std::function<void(uint32_t)>& add) const;
  // Calls add with each name and value of the object at key; every value must be a string.
  void EachPair(const char* key, const std::function<void(const std::string&, std::string)>& add) const;

  // For a field that cannot be honoured: kUnimplemented if it is present and not {}, [], "", false or 0.
  void Refuse(const char* key, std::string_view why) const;
  // For a field that has no effect: a warning under the same condition as Refuse.
  void WarnIf(const char* key, std::string_view why) const;
  // Records that the field's value is wrong (kInvalidArgument).
  void Fail(const char* key, std::string_view why) const;

 private:
  const nlohmann::json* Find(const char* key) const;
  const nlohmann::json* Array(const char* key) const;
  void Missing(const char* key) const;
  void Expected(const std::string& path, std::string_view what, const nlohmann::json& found) const;
  std::string StringAt(const nlohmann::json& value, const std::string& path) const;
  uint64_t UnsignedAt(const nlohmann::json& value, const std::string& path, uint64_t max) const;
  void SetError(Code code, const std::string& path, std::string_view why) const;

  const nlohmann::json* object_;  // nullptr if the value was not an object
  std::string path_;
  Diagnosis& diagnosis_;
};

}  // namespace kata::oci
