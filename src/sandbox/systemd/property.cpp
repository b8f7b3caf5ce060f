// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/property.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace kata::sandbox {
namespace {

constexpr std::string_view kAnnotation = "org.systemd.property.";
constexpr uint64_t kMicroseconds = 1000000;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsLetter(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }

// Those by which a bundle would reach beyond its own unit: reboot the host, start other units, take other processes.
bool ReachesFurther(std::string_view name) {
  return name.ends_with("Action") || name.starts_with("On") || name == "PIDs" || name == "Slice" ||
         name == "Controller" || name == "Delegate";
}

struct IntegerType {
  std::string_view word;  // in GVariant's text
  char type;
  int64_t least;
  uint64_t most;
};

template <typename Number>
constexpr IntegerType TypeOf(std::string_view word, char type) {
  return {word, type, std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max()};
}

constexpr IntegerType kIntegers[] = {
    TypeOf<uint8_t>("byte", 'y'),    TypeOf<int16_t>("int16", 'n'),   TypeOf<uint16_t>("uint16", 'q'),
    TypeOf<int32_t>("int32", 'i'),   TypeOf<uint32_t>("uint32", 'u'), TypeOf<int64_t>("int64", 'x'),
    TypeOf<uint64_t>("uint64", 't'),
};

// Reads GVariant's text, as far as properties of scopes need it.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::optional<Property> Read() {
    Property property;
    const std::string type = TakeType();
    if (!ReadValue(type, property)) return std::nullopt;
    SkipSpace();
    if (!rest_.empty()) return std::nullopt;
    return property;
  }

 private:
  void SkipSpace() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }

  bool Take(char c) {
    SkipSpace();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // "uint64 " and "@t " say the same; "": the text has no type.
  std::string TakeType() {
    SkipSpace();
    const size_t end = rest_.find(' ');
    if (end == std::string_view::npos) return "";
    const std::string_view word = rest_.substr(0, end);
    std::string type;
    if (word.starts_with('@')) type = word.substr(1);
    if (word == "double") type = "d";
    for (const IntegerType& integer : kIntegers) {
      if (word == integer.word) type = integer.type;
    }
    if (!type.empty()) rest_.remove_prefix(end);
    return type;
  }

  bool ReadValue(const std::string& type, Property& property) {
    SkipSpace();
    if (rest_.empty()) return false;
    if (rest_.front() == '[') return (type.empty() || type == "as") && ReadTexts(property);
    if (rest_.front() == '\'' || rest_.front() == '"') {
      auto text = ReadText();
      if (!text || !(type.empty() || type == "s")) return false;
      property.type = "s";
      property.value = *std::move(text);
      return true;
    }
    const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t"));
    rest_.remove_prefix(word.size());
    if (word == "true" || word == "false") {
      property.type = "b";
      property.value = word == "true";
      return type.empty() || type == "b";
    }
    return ReadNumber(word, type, property);
  }

  static bool ReadNumber(std::string_view word, const std::string& type, Property& property) {
    const char* const end = word.data() + word.size();
    const bool fraction = word.find_first_of(".eE") != std::string_view::npos;
    if (type == "d" || (type.empty() && fraction)) {
      double number = 0;
      const auto [stop, error] = std::from_chars(word.data(), end, number);
      property.type = "d";
      property.value = number;
      return error == std::errc() && stop == end;
    }
    const std::string wanted = type.empty() ? "i" : type;
    const auto* const integer = std::find_if(std::begin(kIntegers), std::end(kIntegers), [&](const IntegerType& one) {
      return wanted == std::string(1, one.type);
    });
    if (integer == std::end(kIntegers)) return false;
    property.type = wanted;
    if (word.starts_with('-')) {
      int64_t number = 0;
      const auto [stop, error] = std::from_chars(word.data(), end, number);
      property.value = number;
      return error == std::errc() && stop == end && number >= integer->least;
    }
    uint64_t number = 0;
    const auto [stop, error] = std::from_chars(word.data(), end, number);
    property.value = number;
    return error == std::errc() && stop == end && number <= integer->most;
  }

  std::optional<std::string> ReadText() {
    const char quote = rest_.front();
    std::string text;
    for (size_t i = 1; i < rest_.size(); ++i) {
      char c = rest_[i];
      if (c == quote) {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (c == '\\') {
        if (++i == rest_.size()) return std::nullopt;
        c = rest_[i];
        // \n, \u1234 and the like are in no name that systemd takes.
        if (c != '\\' && c != '\'' && c != '"') return std::nullopt;
      }
      if (c == '\0') return std::nullopt;
      text += c;
    }
    return std::nullopt;
  }

  bool ReadTexts(Property& property) {
    std::vector<std::string> texts;
    if (!Take('[')) return false;
    while (!Take(']')) {
      if (!texts.empty() && !Take(',')) return false;
      SkipSpace();
      if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return false;
      auto text = ReadText();
      if (!text) return false;
      texts.push_back(*std::move(text));
    }
    property.type = "as";
    property.value = std::move(texts);
    return true;
  }

  std::string_view rest_;
};

// "TimeoutStopSec" of systemd.scope(5) is TimeoutStopUSec on D-Bus.
bool SecondsToMicroseconds(Property& property) {
  constexpr std::string_view kSeconds = "Sec";
  const size_t stem = property.name.size() - kSeconds.size();
  if (!property.name.ends_with(kSeconds) || stem == 0 || !IsLower(property.name[stem - 1])) return true;
  uint64_t microseconds = 0;
  if (const auto* whole = std::get_if<uint64_t>(&property.value)) {
    if (*whole > std::numeric_limits<uint64_t>::max() / kMicroseconds) return false;
    microseconds = *whole * kMicroseconds;
  } else if (const auto* fraction = std::get_if<double>(&property.value)) {
    constexpr double kMost = 1e12;
    if (!(*fraction >= 0 && *fraction < kMost)) return false;
    microseconds = static_cast<uint64_t>(*fraction * static_cast<double>(kMicroseconds));
  } else {
    return false;
  }
  property = {.name = property.name.substr(0, stem) + "USec", .type = "t", .value = microseconds};
  return true;
}

}  // namespace

Result<std::vector<Property>> PropertiesOf(const std::map<std::string, std::string>& annotations) {
  std::vector<Property> properties;
  for (const auto& [annotation, text] : annotations) {
    if (!annotation.starts_with(kAnnotation)) continue;
    const std::string name = annotation.substr(kAnnotation.size());
    constexpr size_t kLeastLetters = 3;
    if (name.size() < kLeastLetters || !std::all_of(name.begin(), name.end(), IsLetter)) {
      return Fail(Code::kInvalidArgument, "annotation {} name incorrect: it has other than letters, or too few",
                  annotation);
    }
    if (ReachesFurther(name)) {
      return Fail(Code::kInvalidArgument, "annotation {}: this property concerns more than the container", annotation);
    }
    auto property = Reader(text).Read();
    if (property) property->name = name;
    if (!property || !SecondsToMicroseconds(*property)) {
      return Fail(Code::kInvalidArgument, "annotation {}={} value parse error", annotation, text);
    }
    properties.push_back(*std::move(property));
  }
  return properties;
}

}  // namespace kata::sandbox
