// SPDX-License-Identifier: Apache-2.0
// The log: one line for each message, written to one descriptor, in the text or JSON format of logrus, which runc's
// users parse. No logging library is used because the guest agent shares this code and must stay small. The settings
// are global to the process and not synchronized between threads.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

namespace kata::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

// The level of a name: "debug" or "trace"; "info"; "warn" or "warning"; "error", "fatal" or "panic".
std::optional<Level> LevelFromName(std::string_view name);

// SetOutput: the descriptor, which the caller keeps open and owns, and the format. SetLevel: the lowest level that is
// written. The defaults are standard error, text and kInfo.
void SetOutput(int fd, Format format);
void SetLevel(Level level);
bool Enabled(Level level);

// Adds key=value to every later message, for example sandbox=ID or source=agent.
void AddField(std::string key, std::string value);

// Writes one message with one write(2), whatever its level; the functions below check the level. ASCII control
// characters are escaped, since the text may come from a guest. A failed write is ignored.
void Write(Level level, std::string_view message);

template <typename... Args>
void Debug(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Info(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Warn(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kWarning)) Write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Error(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace kata::log
