// SPDX-License-Identifier: Apache-2.0
// One line a message, to one descriptor, in the text or JSON form that runc's users already parse.
// Written here and not taken from a library because the guest agent, which must stay small, shares it.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

namespace kata::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

// The level named by "debug", "info", "warn", "warning" or "error".
std::optional<Level> LevelFromName(std::string_view name);

// Sends messages of this level and above to fd, which stays the caller's. The default is standard error, info, text.
void SetOutput(int fd, Format format);
void SetLevel(Level level);
bool Enabled(Level level);

// Adds key=value to every later message, for example sandbox=ID or source=agent.
void AddField(std::string key, std::string value);

// Writes one message with one write(2). Control characters are escaped: text may come from a guest.
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
