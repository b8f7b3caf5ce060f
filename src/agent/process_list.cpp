// SPDX-License-Identifier: Apache-2.0
#include "agent/process_list.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

// All commands together have the budget, of which each process gets the same share.
constexpr size_t kMaxCommand = 4096;
constexpr size_t kMinCommand = 64;
constexpr size_t kCommandBudget = 1U << 20U;
// The most that a row without a command and names takes, and what a row with them takes beside its command. A byte of a
// command is up to six in JSON.
constexpr size_t kBriefRow = 512;
constexpr size_t kRow = 4096;
constexpr size_t kEscaped = 6;

// The parsed /proc/PID/stat, proc(5). The command's name is in parentheses and may contain any byte.
struct Stat {
  std::string name;
  std::string rest;
  uint64_t ppid = 0;
  uint64_t tty = 0;
  uint64_t ticks = 0;  // CPU time in user and kernel mode
  uint64_t start = 0;  // ticks since boot
};

std::optional<Stat> ParseStat(const std::string& text) {
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  Stat stat;
  stat.name = text.substr(open + 1, close - open - 1);
  std::string_view rest = std::string_view(text).substr(std::min(close + 2, text.size()));
  stat.rest = rest.substr(0, rest.find('\n'));
  // 3 is the state, 4 the parent, 7 the terminal, 14 and 15 the times, 22 the start.
  for (int field = 3; field <= 22; ++field) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    uint64_t number = 0;
    std::from_chars(word.data(), word.data() + word.size(), number);
    if (field == 4) stat.ppid = number;
    if (field == 7) stat.tty = number;
    if (field == 14 || field == 15) stat.ticks += number;
    if (field == 22) stat.start = number;
  }
  return stat;
}

// JSON must be valid UTF-8, but a cut text may end within a character, and a command may contain any bytes. So each
// byte that is not part of a whole UTF-8 sequence becomes U+FFFD.
void AppendJson(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", c);
    } else if (c < 0x80) {
      out += text[i];
    } else {
      const size_t more = c >= 0xf0 && c < 0xf5 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0 ? 1 : 0;
      const bool whole =
          more > 0 && i + more < text.size() &&
          std::all_of(text.begin() + static_cast<ptrdiff_t>(i) + 1, text.begin() + static_cast<ptrdiff_t>(i + more) + 1,
                      [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; });
      if (whole) {
        out += text.substr(i, more + 1);
        i += more;
      } else {
        out += "\\ufffd";
      }
    }
  }
  out += '"';
}

// Without room for it the command is the process's name in brackets, as for a process that has none.
std::string Command(const std::string& directory, const Stat& stat, size_t room) {
  std::string command(room, '\0');
  if (auto fd = Open(directory + "/cmdline", O_RDONLY)) {
    const ssize_t count = ::read(fd->get(), command.data(), command.size());
    command.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  }
  while (!command.empty() && command.back() == '\0') command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  return command.empty() ? "[" + stat.name + "]" : command;
}

std::string Terminal(uint64_t device) {
  // Majors 136 to 143 are Unix98 ptys (the kernel's devices.txt). The encoding is that of tty_nr in proc(5).
  const uint64_t major = (device >> 8U) & 0xfffU;
  const uint64_t minor = (device & 0xffU) | ((device >> 12U) & 0xfff00U);
  if (major >= 136 && major <= 143) return fmt::format("pts/{}", (major - 136) * 256 + minor);
  return device == 0 ? "?" : "tty";
}

// The real and the effective id in the line "Uid:" or "Gid:" of /proc/PID/status.
struct Ids {
  uint32_t real = 0;
  uint32_t effective = 0;
};

Ids ParseIds(std::string_view status, std::string_view key) {
  Ids ids;
  const size_t at = status.find(key);
  if (at == std::string_view::npos) return ids;
  std::string_view rest = status.substr(at + key.size());
  for (uint32_t* id : {&ids.real, &ids.effective}) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), *id);
    rest.remove_prefix(static_cast<size_t>(parsed.ptr - rest.data()));
  }
  return ids;
}

void AppendName(std::string& out, const char* key, const std::string& name) {
  out += fmt::format(R"(,"{}":)", key);
  AppendJson(out, name);
}

uint64_t GuestMemory() {
  struct sysinfo info {};
  return ::sysinfo(&info) == 0 ? uint64_t{info.totalram} * info.mem_unit : 0;
}

// command: the most bytes of it; 0 makes a brief row, without the command and without names.
bool AppendProcess(std::string& out, pid_t pid, const UserNames& names, size_t command) {
  const std::string directory = fmt::format("/proc/{}", pid);
  const auto text = ReadFile(directory + "/stat", 4096);
  const auto status = ReadFile(directory + "/status", 16384);
  if (!text || !status) return false;
  const auto stat = ParseStat(*text);
  if (!stat) return false;
  const Ids user = ParseIds(*status, "\nUid:");
  const Ids group = ParseIds(*status, "\nGid:");

  const auto tick = static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  timespec boot{};
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto since_boot = static_cast<uint64_t>(boot.tv_sec);
  const uint64_t age = since_boot - std::min(since_boot, stat->start / tick);
  const uint64_t started = (static_cast<uint64_t>(now.tv_sec) - age) % 86400;
  const uint64_t seconds = stat->ticks / tick;
  out += fmt::format(
      R"({{"pid":{},"ppid":{},"uid":{},"c":{},"stime":"{:02}:{:02}","tty":"{}","time":"{:02}:{:02}:{:02}","cmd":)", pid,
      stat->ppid, user.effective, age > 0 ? std::min<uint64_t>(99, seconds * 100 / age) : 0, started / 3600,
      started / 60 % 60, Terminal(stat->tty), seconds / 3600, seconds / 60 % 60, seconds % 60);
  AppendJson(out, Command(directory, *stat, command));
  out += fmt::format(R"(,"gid":{},"ruid":{},"rgid":{},"now":{},"up":{},"memory":{},"stat":)", group.effective,
                     user.real, group.real, now.tv_sec, boot.tv_sec, GuestMemory());
  AppendJson(out, stat->rest);
  AppendName(out, "comm", stat->name);
  if (command > 0) {
    AppendName(out, "user", names.User(user.effective));
    AppendName(out, "group", names.Group(group.effective));
    AppendName(out, "ruser", names.User(user.real));
    AppendName(out, "rgroup", names.Group(group.real));
  }
  out += '}';
  return true;
}

}  // namespace

std::string ListProcesses(const std::vector<pid_t>& pids, const UserNames& names) {
  std::string out = "[";
  size_t listed = 0;
  const size_t share = std::clamp(kCommandBudget / std::max<size_t>(1, pids.size()), kMinCommand, kMaxCommand);
  const size_t most = std::min(pids.size(), contract::kMaxListedProcesses);
  for (const pid_t pid : pids) {
    if (listed == most) break;
    const size_t before = out.size();
    if (listed > 0) out += ',';
    // The rows that are still to come must have room too.
    const size_t needed = out.size() + kRow + kEscaped * share + (most - listed) * kBriefRow;
    if (AppendProcess(out, pid, names, needed > contract::kMaxListBytes ? 0 : share)) {
      ++listed;
    } else {
      out.resize(before);
    }
  }
  out += ']';
  return out;
}

}  // namespace kata::agent
