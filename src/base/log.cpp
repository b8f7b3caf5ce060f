// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <utility>
#include <vector>

namespace kata::log {
namespace {

struct State {
  int fd = STDERR_FILENO;
  Format format = Format::kText;
  Level level = Level::kInfo;
  std::vector<std::pair<std::string, std::string>> fields;
};

State& Global() {
  static State state;
  return state;
}

const char* NameOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      break;
  }
  return "error";
}

// RFC 3339 with seconds, in UTC, as logrus prints it, for existing parsers.
std::string Now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  std::array<char, 32> text{};
  const size_t length = strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), length};
}

// Appends a quoted JSON string. It is also a valid quoted value in logrus's text format, which uses Go's quoting.
void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

std::optional<Level> LevelFromName(std::string_view name) {
  if (name == "debug" || name == "trace") return Level::kDebug;
  if (name == "info") return Level::kInfo;
  if (name == "warn" || name == "warning") return Level::kWarning;
  if (name == "error" || name == "fatal" || name == "panic") return Level::kError;
  return std::nullopt;
}

void SetOutput(int fd, Format format) {
  Global().fd = fd;
  Global().format = format;
}

void SetLevel(Level level) { Global().level = level; }

bool Enabled(Level level) { return level >= Global().level; }

void AddField(std::string key, std::string value) { Global().fields.emplace_back(std::move(key), std::move(value)); }

void Write(Level level, std::string_view message) {
  const State& state = Global();
  const bool json = state.format == Format::kJson;
  std::string line = json ? "{\"level\":" : "time=";
  AppendQuoted(line, json ? std::string(NameOf(level)) : Now());
  line += json ? ",\"msg\":" : fmt::format(" level={} msg=", NameOf(level));
  AppendQuoted(line, message);
  for (const auto& [key, value] : state.fields) {
    if (json) {
      line += ',';
      AppendQuoted(line, key);
      line += ':';
    } else {
      line += fmt::format(" {}=", key);
    }
    AppendQuoted(line, value);
  }
  if (json) {
    line += ",\"time\":";
    AppendQuoted(line, Now());
    line += '}';
  }
  line += '\n';
  // One write, so that the lines of several processes that share a file do not mix. A failure cannot be reported.
  [[maybe_unused]] const ssize_t ignored = ::write(state.fd, line.data(), line.size());
}

}  // namespace kata::log
