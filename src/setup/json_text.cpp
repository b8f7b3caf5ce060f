// SPDX-License-Identifier: Apache-2.0
#include "setup/json_text.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace kata::setup {
namespace {

constexpr size_t kMaxBytes = 1U << 20U;
constexpr std::string_view kSpace = " \t\r\n";

// One member of an object, as offsets in the text.
struct Member {
  std::string key;
  size_t begin = 0;  // of the key
  size_t value = 0;
  size_t end = 0;  // of the value
};
// An object in the text, which is valid JSON.
struct Object {
  size_t begin = 0;  // of its brace
  size_t end = 0;    // behind the other
  std::vector<Member> members;

  const Member* Find(const std::string& key) const {
    const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
    return found == members.end() ? nullptr : &*found;
  }
};

size_t AfterSpace(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(kSpace, at), text.size());
}

size_t AfterString(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

size_t AfterValue(std::string_view text, size_t at) {
  size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = AfterString(text, at);
      if (depth == 0) return at;
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}' || c == ']' || kSpace.find(c) != std::string_view::npos)) return at;
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return at;
}

Object ReadObject(std::string_view text, size_t begin) {
  Object object{.begin = begin, .end = AfterValue(text, begin), .members = {}};
  for (size_t at = AfterSpace(text, begin + 1); at + 1 < object.end;) {
    Member member;
    member.begin = at;
    at = AfterString(text, at);
    const auto key = ParseJson(text.substr(member.begin, at - member.begin), kMaxBytes);
    if (key && key->is_string()) member.key = key->get<std::string>();
    at = AfterSpace(text, at);  // the colon
    member.value = AfterSpace(text, at + 1);
    member.end = AfterValue(text, member.value);
    at = AfterSpace(text, member.end);  // a comma, or the brace
    at = AfterSpace(text, at + 1);
    object.members.push_back(std::move(member));
  }
  return object;
}

Object TopOf(std::string_view text) { return ReadObject(text, AfterSpace(text, 0)); }

// The white space between the line's beginning and the offset, or "\0" where something else is before it on its line.
std::string IndentAt(std::string_view text, size_t at) {
  const size_t before = at == 0 ? std::string_view::npos : text.find_last_not_of(" \t", at - 1);
  if (before == std::string_view::npos || text[before] != '\n') return std::string(1, '\0');
  return std::string(text.substr(before + 1, at - before - 1));
}

bool OwnLine(const std::string& indent) { return indent != std::string(1, '\0'); }

// How the text indents one level: as its first member, or by two spaces.
std::string UnitOf(std::string_view text) {
  const Object top = TopOf(text);
  const std::string indent = top.members.empty() ? std::string(1, '\0') : IndentAt(text, top.members[0].begin);
  return OwnLine(indent) && !indent.empty() ? indent : "  ";
}

// A value over several lines, whose first line stands behind indent.
std::string Lines(const nlohmann::ordered_json& value, const std::string& indent, const std::string& unit) {
  const std::string text = value.dump(static_cast<int>(unit.size()), unit[0]);
  std::string lines;
  for (const char c : text) {
    lines += c;
    if (c == '\n') lines += indent;
  }
  return lines;
}

void Insert(std::string& text, const Object& object, const std::string& key, const nlohmann::ordered_json& value) {
  const std::string name = nlohmann::json(key).dump();
  const std::string unit = UnitOf(text);
  if (!object.members.empty()) {
    const Member& last = object.members.back();
    const std::string indent = IndentAt(text, last.begin);
    text.insert(last.end, OwnLine(indent) ? fmt::format(",\n{}{}: {}", indent, name, Lines(value, indent, unit))
                                          : fmt::format(", {}: {}", name, value.dump()));
    return;
  }
  // The object's own line tells how far it is in.
  const size_t line = text.rfind('\n', object.begin) + 1;  // npos + 1 is 0
  const size_t first = text.find_first_not_of(" \t", line);
  const std::string outer = text.substr(line, first - line);
  const std::string inner = outer + unit;
  text.replace(object.begin, object.end - object.begin,
               fmt::format("{{\n{}{}: {}\n{}}}", inner, name, Lines(value, inner, unit), outer));
}

void Put(std::string& text, const Setting& setting) {
  Object object = TopOf(text);
  nlohmann::ordered_json value = setting.value;
  for (size_t depth = 0; depth < setting.path.size(); ++depth) {
    const Member* member = object.Find(setting.path[depth]);
    if (member == nullptr) {  // with the objects that are missing around it
      for (size_t below = setting.path.size(); below > depth + 1; --below) {
        value = nlohmann::ordered_json{{setting.path[below - 1], value}};
      }
      return Insert(text, object, setting.path[depth], value);
    }
    if (depth + 1 == setting.path.size()) {
      text.replace(member->value, member->end - member->value, value.dump());
      return;
    }
    object = ReadObject(text, member->value);
  }
}

// Removes a member, and the objects around it that it leaves empty where the text before had none.
void Remove(std::string& text, std::vector<std::string> path, const nlohmann::json& before) {
  while (!path.empty()) {
    Object object = TopOf(text);
    for (size_t depth = 0; depth + 1 < path.size(); ++depth) {
      const Member* member = object.Find(path[depth]);
      if (member == nullptr) return;
      object = ReadObject(text, member->value);
    }
    const Member* member = object.Find(path.back());
    if (member == nullptr) return;
    const auto index = static_cast<size_t>(member - object.members.data());
    if (index > 0) {
      const size_t begin = object.members[index - 1].end;
      text.erase(begin, member->end - begin);
    } else if (object.members.size() > 1) {
      text.erase(member->begin, object.members[1].begin - member->begin);
    } else {
      text.replace(object.begin, object.end - object.begin, "{}");
    }
    path.pop_back();
    if (object.members.size() > 1 || path.empty() || Find(before, path) != nullptr) return;
  }
}

// The value with the names of programs instead of their paths: where they are installed may have changed.
nlohmann::json WithoutDirectories(nlohmann::json value) {
  if (value.is_object()) {
    for (auto& item : value) item = WithoutDirectories(item);
  } else if (value.is_string()) {
    const std::string text = value.get<std::string>();
    if (text.starts_with('/')) value = text.substr(text.rfind('/') + 1);
  }
  return value;
}

}  // namespace

Result<nlohmann::json> ParseJsonObject(const std::string& text) {
  if (AfterSpace(text, 0) == text.size()) return nlohmann::json::object();
  if (text.starts_with("\xEF\xBB\xBF")) {
    return Fail(Code::kInvalidArgument, "it begins with a byte order mark: remove that first");
  }
  nlohmann::json json = TRY(ParseJson(text, kMaxBytes));
  if (!json.is_object()) return Fail(Code::kInvalidArgument, "it is no JSON object");
  return json;
}

Result<std::string> PutJson(const std::string& text, const std::vector<Setting>& settings) {
  const nlohmann::json wanted = With(TRY(ParseJsonObject(text)), settings);
  std::string changed = AfterSpace(text, 0) == text.size() ? "{}\n" : text;
  for (const Setting& setting : settings) Put(changed, setting);
  const auto parsed = ParseJsonObject(changed);
  if (parsed && *parsed == wanted) return changed;
  return Fail(Code::kFailedPrecondition, "a name stands twice in one of its objects: remove one of them first");
}

Result<std::string> TakeJson(const std::string& text, const std::string& before, const std::vector<Setting>& settings) {
  const nlohmann::json now = TRY(ParseJsonObject(text));
  const nlohmann::json old = TRY(ParseJsonObject(before));
  std::string changed = text;
  std::vector<Setting> ours;
  for (const Setting& setting : settings) {
    const nlohmann::json* value = Find(now, setting.path);
    const nlohmann::json* former = Find(old, setting.path);
    if (value == nullptr || (former != nullptr && *former == *value)) continue;
    if (WithoutDirectories(*value) != WithoutDirectories(nlohmann::json(setting.value))) {
      if (setting.replaces) continue;  // somebody's later choice
      return Fail(Code::kFailedPrecondition, "{} is not what was put in any more, but {}: remove it by hand first",
                  Name(setting.path), ForeignText(value->dump(), 200));
    }
    const bool same = *value == nlohmann::json(setting.value);  // then with its order of members
    ours.push_back({setting.path, same ? setting.value : nlohmann::ordered_json(*value)});
    if (former != nullptr) {
      Put(changed, {setting.path, nlohmann::ordered_json(*former)});
    } else {
      Remove(changed, setting.path, old);
    }
  }
  // What white space there was in an object that has got its first member is told by the text before alone.
  const auto again = PutJson(before, ours);
  if (again && *again == text) return before;
  return changed;
}

}  // namespace kata::setup
