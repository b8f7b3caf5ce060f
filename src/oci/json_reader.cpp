// SPDX-License-Identifier: Apache-2.0
#include "oci/json_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"

namespace kata::oci {
namespace {

using nlohmann::json;

constexpr size_t kMaxShown = 80;

// A text of the document for a message: shortened, and without ASCII control characters.
std::string Shown(std::string_view text, size_t limit) {
  std::string shown;
  for (char c : text.substr(0, limit)) shown += (c >= 0 && c < ' ') || c == 0x7f ? '?' : c;
  // Do not cut in the middle of a UTF-8 sequence.
  if (text.size() > limit) {
    while (!shown.empty() && (shown.back() & 0xc0) == 0x80) shown.pop_back();
    if (!shown.empty() && (shown.back() & 0x80) != 0) shown.pop_back();
    shown += "...";
  }
  return shown;
}

// Whether a value means the same as a missing field: {}, [], "", false or 0.
bool SaysNothing(const json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return (value.is_structured() && value.empty()) || value == false || value == 0;
}

std::string Describe(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) return fmt::format("\"{}\"", Shown(value.get_ref<const std::string&>(), kMaxShown));
  return value.dump();
}

// Makes "name:line:column: why" from the library's exception, without the exception's own prefix of numbers.
tl::unexpected<Error> SyntaxError(std::string_view text, std::string_view name, const json::parse_error& error) {
  const size_t at = std::min(error.byte > 0 ? error.byte - 1 : 0, text.size());
  const std::string_view before = text.substr(0, at);
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_start = before.rfind('\n');
  const size_t column = at - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
  std::string_view why = error.what();
  if (size_t end = why.find("] "); end != std::string_view::npos) why.remove_prefix(end + 2);
  if (size_t end = why.find(": "); why.starts_with("parse error") && end != std::string_view::npos) {
    why.remove_prefix(end + 2);
  }
  return Fail(Code::kInvalidArgument, "{}:{}:{}: {}", name, line, column, Shown(why, 300));
}

// Finds duplicate keys, which the parser would accept: the last one would win.
class StructureCheck {
 public:
  bool operator()(int /*depth*/, json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        keys_.emplace_back();
        path_.emplace_back();
        break;
      case json::parse_event_t::key:
        path_.back() = parsed.get<std::string>();
        if (!keys_.back().insert(path_.back()).second && fault_.empty()) {
          fault_ = fmt::format("{}: the key stands twice in its object", Shown(Path(), kMaxShown));
        }
        break;
      case json::parse_event_t::object_end:
        keys_.pop_back();
        path_.pop_back();
        break;
      default:
        break;
    }
    return true;
  }

  const std::string& fault() const { return fault_; }

 private:
  std::string Path() const {
    std::string path;
    for (const std::string& key : path_) path += (path.empty() ? "" : ".") + key;
    return path;
  }

  std::vector<std::set<std::string>> keys_;
  std::vector<std::string> path_;
  std::string fault_;
};

}  // namespace

Result<json> ParseJson(std::string_view text, size_t limit, std::string_view name) {
  TRY(Context(CheckJsonShape(text, limit), "{}", name));
  try {
    StructureCheck check;
    json document = json::parse(text, std::ref(check));
    if (!check.fault().empty()) return Fail(Code::kInvalidArgument, "{}: {}", name, check.fault());
    return document;
  } catch (const json::parse_error& error) {
    return SyntaxError(text, name, error);
  } catch (const json::exception& error) {
    return Fail(Code::kInvalidArgument, "{}: {}", name, Shown(error.what(), 300));
  }
}

JsonObject::JsonObject(const json& value, std::string path, Diagnosis& diagnosis)
    : object_(value.is_object() ? &value : nullptr), path_(std::move(path)), diagnosis_(diagnosis) {
  if (object_ == nullptr) Expected(path_, "an object", value);
}

std::string JsonObject::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const json* JsonObject::Find(const char* key) const {
  if (object_ == nullptr || diagnosis_.error) return nullptr;
  auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const json* JsonObject::Array(const char* key) const {
  const json* value = Find(key);
  if (value != nullptr && !value->is_array()) {
    Expected(PathOf(key), "an array", *value);
    return nullptr;
  }
  return value;
}

void JsonObject::SetError(Code code, const std::string& path, std::string_view why) const {
  if (diagnosis_.error) return;
  diagnosis_.error.emplace(code, path.empty() ? std::string(why) : fmt::format("{}: {}", path, why));
}

void JsonObject::Missing(const char* key) const {
  // After an error Find returns nothing, so this is also called for fields that exist; SetError keeps the first error.
  SetError(Code::kInvalidArgument, PathOf(key), "required, and missing");
}

void JsonObject::Expected(const std::string& path, std::string_view what, const json& found) const {
  SetError(Code::kInvalidArgument, path, fmt::format("expected {}, found {}", what, Describe(found)));
}

void JsonObject::Fail(const char* key, std::string_view why) const {
  SetError(Code::kInvalidArgument, PathOf(key), why);
}

std::string JsonObject::StringAt(const json& value, const std::string& path) const {
  if (!value.is_string()) {
    Expected(path, "a string", value);
    return {};
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.find('\0') != std::string::npos) {
    SetError(Code::kInvalidArgument, path, "the string holds a NUL character");
    return {};
  }
  return text;
}

uint64_t JsonObject::UnsignedAt(const json& value, const std::string& path, uint64_t max) const {
  if (!value.is_number_unsigned()) {
    Expected(path, "an unsigned number", value);
    return 0;
  }
  const auto number = value.get<uint64_t>();
  if (number > max) {
    SetError(Code::kInvalidArgument, path, fmt::format("expected a number of at most {}, found {}", max, number));
    return 0;
  }
  return number;
}

std::string JsonObject::String(const char* key, Need need) const {
  const json* value = Find(key);
  std::string text = value == nullptr ? std::string() : StringAt(*value, PathOf(key));
  if (need == Need::kRequired && text.empty()) Missing(key);
  return text;
}

bool JsonObject::Bool(const char* key, Need need) const {
  const json* value = Find(key);
  if (value == nullptr) {
    if (need == Need::kRequired) Missing(key);
    return false;
  }
  if (!value->is_boolean()) {
    Expected(PathOf(key), "true or false", *value);
    return false;
  }
  return value->get<bool>();
}

uint64_t JsonObject::Unsigned(const char* key, Need need, uint64_t max) const {
  const json* value = Find(key);
  if (value == nullptr) {
    if (need == Need::kRequired) Missing(key);
    return 0;
  }
  return UnsignedAt(*value, PathOf(key), max);
}

uint32_t JsonObject::Unsigned32(const char* key, Need need) const {
  return static_cast<uint32_t>(Unsigned(key, need, std::numeric_limits<uint32_t>::max()));
}

int64_t JsonObject::Signed(const char* key, Need need, int64_t min, int64_t max) const {
  const json* value = Find(key);
  if (value == nullptr) {
    if (need == Need::kRequired) Missing(key);
    return 0;
  }
  // The library stores non-negative numbers as uint64_t; one above INT64_MAX would become negative.
  const bool fits = !value->is_number_unsigned() ||
                    value->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!value->is_number_integer() || !fits) {
    Expected(PathOf(key), "a whole number", *value);
    return 0;
  }
  const auto number = value->get<int64_t>();
  if (number < min || number > max) {
    Expected(PathOf(key), fmt::format("a number of {} to {}", min, max), *value);
    return 0;
  }
  return number;
}

void JsonObject::Child(const char* key, const std::function<void(const JsonObject&)>& read, Need need) const {
  const json* value = Find(key);
  if (value != nullptr) {
    read(JsonObject(*value, PathOf(key), diagnosis_));
  } else if (need == Need::kRequired) {
    Missing(key);
  }
}

void JsonObject::Each(const char* key, const std::function<void(const JsonObject&)>& read) const {
  const json* array = Array(key);
  if (array == nullptr) return;
  for (size_t i = 0; i < array->size() && !diagnosis_.error; ++i) {
    read(JsonObject((*array)[i], fmt::format("{}[{}]", PathOf(key), i), diagnosis_));
  }
}

void JsonObject::EachString(const char* key, const std::function<void(std::string)>& add) const {
  const json* array = Array(key);
  if (array == nullptr) return;
  for (size_t i = 0; i < array->size() && !diagnosis_.error; ++i) {
    add(StringAt((*array)[i], fmt::format("{}[{}]", PathOf(key), i)));
  }
}

void JsonObject::EachUnsigned32(const char* key, const std::function<void(uint32_t)>& add) const {
  const json* array = Array(key);
  if (array == nullptr) return;
  for (size_t i = 0; i < array->size() && !diagnosis_.error; ++i) {
    add(static_cast<uint32_t>(
        UnsignedAt((*array)[i], fmt::format("{}[{}]", PathOf(key), i), std::numeric_limits<uint32_t>::max())));
  }
}

void JsonObject::EachPair(const char* key, const std::function<void(const std::string&, std::string)>& add) const {
  const json* object = Find(key);
  if (object == nullptr) return;
  if (!object->is_object()) return Expected(PathOf(key), "an object", *object);
  for (const auto& [name, value] : object->items()) {
    const std::string path = fmt::format("{}[\"{}\"]", PathOf(key), Shown(name, kMaxShown));
    if (name.find('\0') != std::string::npos) {
      return SetError(Code::kInvalidArgument, path, "the name holds a NUL character");
    }
    add(name, StringAt(value, path));
    if (diagnosis_.error) return;
  }
}

void JsonObject::Refuse(const char* key, std::string_view why) const {
  const json* value = Find(key);
  if (value != nullptr && !SaysNothing(*value)) {
    SetError(Code::kUnimplemented, PathOf(key), why);
  }
}

void JsonObject::WarnIf(const char* key, std::string_view why) const {
  const json* value = Find(key);
  if (value != nullptr && !SaysNothing(*value)) {
    diagnosis_.warnings.push_back(fmt::format("{}: {}", PathOf(key), why));
  }
}

}  // namespace kata::oci
