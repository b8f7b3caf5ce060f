// SPDX-License-Identifier: Apache-2.0
#include "setup/toml_text.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "config/toml.h"

namespace kata::setup {
namespace {

constexpr std::string_view kBegin = "# kata-runtime setup: begin";
// As kBegin; the newline before, or that of the line which the block keeps, was not in the file.
constexpr std::string_view kBeginJoined = "# kata-runtime setup: begin, without a newline before";
constexpr std::string_view kBefore = "# kata-runtime setup: before: ";
constexpr std::string_view kMade = "# kata-runtime setup: made ";
constexpr std::string_view kEnd = "# kata-runtime setup: end";

nlohmann::json ToJson(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = ToJson(value);
    return object;
  }
  if (const toml::array* array = node.as_array()) {
    nlohmann::json list = nlohmann::json::array();
    for (const toml::node& item : *array) list.push_back(ToJson(item));
    return list;
  }
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto integer = node.value_exact<int64_t>()) return *integer;
  if (const auto number = node.value_exact<double>()) return *number;
  if (const auto flag = node.value_exact<bool>()) return *flag;
  return "date";
}

std::string KeyText(const std::string& key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (isalnum(c) != 0 && c < 0x80) || c == '-' || c == '_';
  });
  return bare ? key : nlohmann::json(key).dump();  // JSON's strings are strings of TOML
}

std::string HeaderText(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& name : path) text += (text.empty() ? "" : ".") + KeyText(name);
  return "[" + text + "]\n";
}

std::string ValueText(const nlohmann::ordered_json& value) {
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& item : value) text += (text.empty() ? "" : ", ") + item.dump();
  return "[" + text + "]";
}

std::string LineText(const std::string& key, const nlohmann::ordered_json& value) {
  return fmt::format("{} = {}\n", KeyText(key), ValueText(value));
}

std::vector<std::string> ParentOf(const Setting& setting) { return {setting.path.begin(), setting.path.end() - 1}; }

void AppendTable(std::string& text, std::vector<std::string> path, const nlohmann::ordered_json& table) {
  text += HeaderText(path);
  for (const auto& [key, value] : table.items()) {
    if (!value.is_object()) text += LineText(key, value);
  }
  path.emplace_back();
  for (const auto& [key, value] : table.items()) {
    path.back() = key;
    if (value.is_object()) AppendTable(text, path, value);
  }
}

// A block, with a line of the file in it that it replaces.
std::string Block(bool joined, std::string_view before, const std::vector<std::string>& made, std::string_view body) {
  std::string text = fmt::format("{}\n", joined ? kBeginJoined : kBegin);
  if (!before.empty()) text += fmt::format("{}{}\n", kBefore, before);
  for (const std::string& path : made) text += fmt::format("{}{}\n", kMade, path);
  return text + std::string(body) + std::string(kEnd) + "\n";
}

std::string Append(std::string text, const std::vector<Setting>& settings, const std::vector<std::string>& made) {
  if (settings.empty()) return text;
  const bool joined = !text.empty() && text.back() != '\n';
  if (joined) text += '\n';
  return text + Block(joined, "", made, TomlOf(settings));
}

// Where a line begins; lines count from 1.
size_t OffsetOf(std::string_view text, size_t line) {
  size_t offset = 0;
  for (; line > 1 && offset != std::string_view::npos; --line) {
    offset = text.find('\n', offset);
    if (offset != std::string_view::npos) ++offset;
  }
  return std::min(offset, text.size());
}

const toml::node* NodeAt(const toml::table& document, const std::vector<std::string>& path) {
  const toml::node* node = &document;
  for (const std::string& name : path) {
    const toml::table* table = node->as_table();
    node = table == nullptr ? nullptr : table->get(name);
    if (node == nullptr) return nullptr;
  }
  return node;
}

// The text with one value: in the place of another value's line, or below its table's header. nullopt: neither is
// there.
std::optional<std::string> PutInPlace(const std::string& text, const Setting& setting) {
  const auto parsed = toml::parse(std::string_view(text));
  if (!parsed) return std::nullopt;
  const toml::node* value = NodeAt(parsed.table(), setting.path);
  const toml::node* table = NodeAt(parsed.table(), ParentOf(setting));
  const toml::node* at = value != nullptr ? value : table;
  if (at == nullptr || at->source().begin.line == 0) return std::nullopt;
  const size_t line = at->source().begin.line;
  const size_t begin = OffsetOf(text, value != nullptr ? line : line + 1);
  const size_t end = value != nullptr ? OffsetOf(text, line + 1) : begin;
  std::string before = text.substr(begin, end - begin);
  const bool joined = value != nullptr ? !before.ends_with('\n') : !text.ends_with('\n') && begin == text.size();
  if (before.ends_with('\n')) before.pop_back();
  const std::string block = Block(joined, before, {}, LineText(setting.path.back(), setting.value));
  return text.substr(0, begin) + (joined && value == nullptr ? "\n" : "") + block + text.substr(end);
}

}  // namespace

Result<nlohmann::json> ParseToml(std::string_view text) {
  const auto parsed = toml::parse(text);
  if (!parsed) {
    return Fail(Code::kInvalidArgument, "line {} is no TOML: {}", parsed.error().source().begin.line,
                ForeignText(parsed.error().description(), 200));
  }
  return ToJson(parsed.table());
}

std::string TomlOf(const std::vector<Setting>& settings) {
  std::string values;
  std::string tables;
  for (const Setting& setting : settings) {
    if (setting.value.is_object()) {
      AppendTable(tables, setting.path, setting.value);
    } else if (setting.path.size() == 1) {  // of the top, which no header names
      values.insert(0, LineText(setting.path[0], setting.value));
    } else {
      values += HeaderText(ParentOf(setting)) + LineText(setting.path.back(), setting.value);
    }
  }
  return values + tables;
}

Result<std::string> PutToml(const std::string& text, const std::vector<Setting>& settings,
                            const std::vector<std::string>& made) {
  const nlohmann::json before = TRY(ParseToml(text));
  const nlohmann::json wanted = With(before, settings);
  const auto is_good = [&](const std::string& changed) {
    const auto parsed = ParseToml(changed);
    return parsed && *parsed == wanted;
  };
  if (std::string changed = Append(text, settings, made); is_good(changed)) return changed;
  // A table's header stands only once in a file: values for tables that have one are put below it.
  std::string changed = text;
  std::vector<Setting> rest;
  for (const Setting& setting : settings) {
    std::optional<std::string> placed;
    if (!setting.value.is_object()) placed = PutInPlace(changed, setting);
    if (placed && ParseToml(*placed)) {
      changed = *std::move(placed);
    } else {
      rest.push_back(setting);
    }
  }
  changed = Append(std::move(changed), rest, made);
  if (is_good(changed)) return changed;
  return Fail(Code::kFailedPrecondition,
              "it is written in a way that allows no safe change, such as tables in one line: put this in by hand: {}",
              ForeignText(nlohmann::json(TomlOf(settings)).dump(), 1000));
}

Result<TakenToml> TakeToml(std::string_view text) {
  TakenToml taken;
  bool inside = false;
  bool joined = false;
  bool cut = false;  // the newline at the end of what was taken over is none of the file's
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    ++number;
    const size_t newline = text.find('\n', begin);
    const size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    const std::string_view line = text.substr(begin, end - begin);
    const std::string_view word = line.substr(0, line.find_last_not_of("\r\n\t ") + 1);
    begin = end;
    if (word == kBegin || word == kBeginJoined) {
      if (inside) return Fail(Code::kInvalidArgument, "line {}: a block of kata-runtime's in another", number);
      taken.found = inside = true;
      joined = word == kBeginJoined;
    } else if (word == kEnd) {
      if (!inside) return Fail(Code::kInvalidArgument, "line {}: \"{}\" without its begin", number, kEnd);
      inside = false;
      cut = cut || joined;
    } else if (!inside) {
      taken.text += line;
      cut = false;
    } else if (line.starts_with(kBefore)) {
      taken.text += line.substr(kBefore.size());
      cut = false;
    } else if (word.starts_with(kMade)) {
      taken.made.emplace_back(word.substr(kMade.size()));
    }
  }
  if (inside) return Fail(Code::kInvalidArgument, "\"{}\" without its end", kBegin);
  if (cut && taken.text.ends_with('\n')) taken.text.pop_back();
  return taken;
}

}  // namespace kata::setup
