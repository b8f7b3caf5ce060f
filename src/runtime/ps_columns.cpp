// SPDX-License-Identifier: Apache-2.0
#include "runtime/ps_columns.h"

#include <fmt/format.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace kata::runtime {
namespace {

constexpr int64_t kDay = int64_t{24} * 60 * 60;

// In the caller's time zone, as with ps.
std::string At(int64_t seconds, const char* format) {
  const time_t moment = seconds;
  tm parts{};
  std::array<char, 64> text{};
  if (localtime_r(&moment, &parts) == nullptr) return "?";
  return {text.data(), strftime(text.data(), text.size(), format, &parts)};
}

std::string StartDay(const GuestProcess& process) {
  const bool today = At(process.started, "%F") == At(process.now, "%F");
  if (today) return At(process.started, "%H:%M");
  return At(process.started, At(process.started, "%Y") == At(process.now, "%Y") ? "%b%d" : "%Y");
}

std::string StartTime(const GuestProcess& process) {
  return At(process.started, process.age < kDay ? "%T" : process.age < 365 * kDay ? "%b %d" : "%Y");
}

// [DD-]HH:MM:SS
std::string CpuTime(const GuestProcess& process) {
  const auto time = static_cast<int64_t>(process.cpu_seconds);
  const std::string days = time < kDay ? "" : fmt::format("{}-", time / kDay);
  return days + fmt::format("{:02}:{:02}:{:02}", time / 3600 % 24, time / 60 % 60, time % 60);
}

std::string ShortCpuTime(const GuestProcess& process) {
  return fmt::format("{}:{:02}", process.cpu_seconds / 60, process.cpu_seconds % 60);
}

// [[DD-]HH:]MM:SS
std::string Elapsed(const GuestProcess& process) {
  const int64_t age = process.age;
  std::string text = age < kDay ? "" : fmt::format("{}-", age / kDay);
  if (age >= 3600) text += fmt::format("{:02}:", age / 3600 % 24);
  return text + fmt::format("{:02}:{:02}", age / 60 % 60, age % 60);
}

// CPU time divided by the process's age, in thousandths.
uint64_t CpuShare(const GuestProcess& process) {
  return process.age > 0 ? process.cpu_seconds * 1000 / static_cast<uint64_t>(process.age) : 0;
}

std::string Percent(uint64_t thousandths) { return fmt::format("{}.{}", thousandths / 10, thousandths % 10); }

std::string Stat(const GuestProcess& process) {
  std::string stat(1, process.state);
  if (process.nice != 0) stat += process.nice < 0 ? '<' : 'N';
  if (process.session == process.pid) stat += 's';
  if (process.threads > 1) stat += 'l';
  if (process.foreground == process.group) stat += '+';
  return stat;
}

std::string Class(const GuestProcess& process) {
  constexpr const char* kNames[] = {"TS", "FF", "RR", "B", "ISO", "IDL", "DLN"};
  return process.policy >= 0 && process.policy < 7 ? kNames[process.policy] : "?";
}

template <typename T>
std::string Show(T number) {
  return fmt::format("{}", number);
}

using P = const GuestProcess&;
constexpr PsColumn kColumns[] = {
    {"pid", "PID", 7, [](P p) { return Show(p.pid); }},
    {"tgid", "TGID", 7, [](P p) { return Show(p.pid); }},
    {"ppid", "PPID", 7, [](P p) { return Show(p.parent); }},
    {"pgid", "PGID", 7, [](P p) { return Show(p.group); }},
    {"pgrp", "PGRP", 7, [](P p) { return Show(p.group); }},
    {"sid", "SID", 7, [](P p) { return Show(p.session); }},
    {"sess", "SESS", 7, [](P p) { return Show(p.session); }},
    {"session", "SESS", 7, [](P p) { return Show(p.session); }},
    {"tpgid", "TPGID", 7, [](P p) { return Show(p.foreground); }},
    {"tty", "TT", -8, [](P p) { return p.terminal; }},
    {"tt", "TT", -8, [](P p) { return p.terminal; }},
    {"tname", "TTY", -8, [](P p) { return p.terminal; }},
    {"user", "USER", -8, [](P p) { return p.user; }},
    {"euser", "EUSER", -8, [](P p) { return p.user; }},
    {"uname", "USER", -8, [](P p) { return p.user; }},
    {"ruser", "RUSER", -8, [](P p) { return p.real_user; }},
    {"group", "GROUP", -8, [](P p) { return p.user_group; }},
    {"egroup", "EGROUP", -8, [](P p) { return p.user_group; }},
    {"rgroup", "RGROUP", -8, [](P p) { return p.real_user_group; }},
    {"uid", "UID", 5, [](P p) { return Show(p.uid); }},
    {"euid", "EUID", 5, [](P p) { return Show(p.uid); }},
    {"ruid", "RUID", 5, [](P p) { return Show(p.real_uid); }},
    {"gid", "GID", 5, [](P p) { return Show(p.gid); }},
    {"egid", "EGID", 5, [](P p) { return Show(p.gid); }},
    {"rgid", "RGID", 5, [](P p) { return Show(p.real_gid); }},
    {"comm", "COMMAND", -15, [](P p) { return p.name; }},
    {"ucmd", "CMD", -15, [](P p) { return p.name; }},
    {"ucomm", "COMMAND", -15, [](P p) { return p.name; }},
    {"args", "COMMAND", -27, [](P p) { return p.command; }},
    {"command", "COMMAND", -27, [](P p) { return p.command; }},
    {"cmd", "CMD", -27, [](P p) { return p.command; }},
    {"s", "S", -1, [](P p) { return std::string(1, p.state); }},
    {"state", "S", -1, [](P p) { return std::string(1, p.state); }},
    {"stat", "STAT", -4, Stat},
    {"c", "C", 2, [](P p) { return Show(std::min<uint64_t>(99, CpuShare(p) / 10)); }},
    {"pcpu", "%CPU", 4, [](P p) { return Percent(CpuShare(p)); }},
    {"%cpu", "%CPU", 4, [](P p) { return Percent(CpuShare(p)); }},
    {"pmem", "%MEM", 4, [](P p) { return Percent(p.guest_memory > 0 ? p.resident * 1000 / p.guest_memory : 0); }},
    {"%mem", "%MEM", 4, [](P p) { return Percent(p.guest_memory > 0 ? p.resident * 1000 / p.guest_memory : 0); }},
    {"rss", "RSS", 5, [](P p) { return Show(p.resident / 1024); }},
    {"rsz", "RSZ", 5, [](P p) { return Show(p.resident / 1024); }},
    {"rssize", "RSS", 5, [](P p) { return Show(p.resident / 1024); }},
    {"vsz", "VSZ", 6, [](P p) { return Show(p.memory / 1024); }},
    {"vsize", "VSZ", 6, [](P p) { return Show(p.memory / 1024); }},
    {"sz", "SZ", 5, [](P p) { return Show(p.memory / 4096); }},
    {"nice", "NI", 3, [](P p) { return Show(p.nice); }},
    {"ni", "NI", 3, [](P p) { return Show(p.nice); }},
    {"pri", "PRI", 3, [](P p) { return Show(39 - p.priority); }},
    {"opri", "PRI", 3, [](P p) { return Show(60 + p.priority); }},
    {"priority", "PRI", 3, [](P p) { return Show(p.priority); }},
    {"rtprio", "RTPRIO", 6, [](P p) { return p.policy == 1 || p.policy == 2 ? Show(p.realtime_priority) : "-"; }},
    {"cls", "CLS", 3, Class},
    {"class", "CLS", 3, Class},
    {"policy", "POL", 3, Class},
    {"nlwp", "NLWP", 4, [](P p) { return Show(p.threads); }},
    {"thcount", "THCNT", 5, [](P p) { return Show(p.threads); }},
    {"psr", "PSR", 3, [](P p) { return Show(p.processor); }},
    {"f", "F", 1, [](P p) { return fmt::format("{:o}", p.flags >> 6U & 7U); }},
    {"flag", "F", 1, [](P p) { return fmt::format("{:o}", p.flags >> 6U & 7U); }},
    {"flags", "F", 1, [](P p) { return fmt::format("{:o}", p.flags >> 6U & 7U); }},
    {"addr", "ADDR", -4, [](P) { return std::string("-"); }},
    {"wchan", "WCHAN", -6, [](P) { return std::string("-"); }},
    {"time", "TIME", 8, CpuTime},
    {"cputime", "TIME", 8, CpuTime},
    {"cputimes", "TIME", 8, [](P p) { return Show(p.cpu_seconds); }},
    {"times", "TIME", 8, [](P p) { return Show(p.cpu_seconds); }},
    {"bsdtime", "TIME", 6, ShortCpuTime},
    {"etime", "ELAPSED", 11, Elapsed},
    {"etimes", "ELAPSED", 7, [](P p) { return Show(p.age); }},
    {"stime", "STIME", 5, StartDay},
    {"start_time", "START", 5, StartDay},
    {"bsdstart", "START", 6, StartDay},
    {"start", "STARTED", 8, StartTime},
    {"lstart", "STARTED", 24, [](P p) { return At(p.started, "%a %b %e %T %Y"); }},
};

// The number of UTF-8 characters. Wide characters count as one, which is good enough for names.
int Length(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

}  // namespace

const PsColumn* FindPsColumn(std::string_view name) {
  const auto* found = std::find_if(std::begin(kColumns), std::end(kColumns),
                                   [name](const PsColumn& column) { return column.name == name; });
  return found != std::end(kColumns) ? found : nullptr;
}

std::string PsTable(const std::vector<PsChoice>& columns, const std::vector<GuestProcess>& processes, bool heads) {
  using Row = std::vector<std::string>;
  std::vector<Row> rows;
  heads =
      heads && std::any_of(columns.begin(), columns.end(), [](const auto& choice) { return !choice.header.empty(); });
  if (heads) {
    for (Row& row = rows.emplace_back(); const PsChoice& choice : columns) row.push_back(choice.header);
  }
  for (const GuestProcess& process : processes) {
    for (Row& row = rows.emplace_back(); const PsChoice& choice : columns) row.push_back(choice.column->value(process));
  }
  std::string table;
  std::vector<int> widths;
  for (size_t i = 0; i < columns.size(); ++i) {
    const int least = columns[i].width > 0 ? columns[i].width : std::abs(columns[i].column->width);
    int& width = widths.emplace_back(least);
    for (const Row& row : rows) width = std::max(width, Length(row[i]));
  }
  for (const Row& row : rows) {
    for (size_t i = 0; i < columns.size(); ++i) {
      const bool left = columns[i].column->width < 0;
      const std::string space(static_cast<size_t>(widths[i] - Length(row[i])), ' ');
      if (i > 0) table += ' ';
      if (!left) table += space;
      table += row[i];
      if (left && i + 1 < columns.size()) table += space;
    }
    table += '\n';
  }
  return table;
}

}  // namespace kata::runtime
