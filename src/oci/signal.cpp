// SPDX-License-Identifier: Apache-2.0
#include "oci/signal.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <csignal>
#include <optional>

namespace kata::oci {
namespace {

struct Name {
  std::string_view name;
  int number;
};

// The names of signal(7). If a number has several names, SignalName returns the first one.
constexpr std::array kNames = std::to_array<Name>({
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},     {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV},     {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},
    {"SYS", SIGSYS},       {"IOT", SIGABRT},  {"CLD", SIGCHLD},    {"POLL", SIGIO},   {"UNUSED", SIGSYS},
});

// SIGRTMIN and SIGRTMAX as programs with glibc see them, which reserves 32 and 33 for its threads. The macros are not
// used, because they give the values of this process's C library.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

std::optional<int> Number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "RTMIN", "RTMIN+3", "RTMAX-3".
std::optional<int> RealTime(std::string_view name) {
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return std::nullopt;
  const int base = from_min ? kRtMin : kRtMax;
  name.remove_prefix(5);
  if (name.empty()) return base;
  const bool plus = name[0] == '+';
  if (plus != from_min || (!plus && name[0] != '-') || name.size() < 2 || name[1] == '-') return std::nullopt;
  const std::optional<int> offset = Number(name.substr(1));
  if (!offset || *offset > kRtMax - kRtMin) return std::nullopt;
  return from_min ? base + *offset : base - *offset;
}

}  // namespace

Result<int> ParseSignal(std::string_view text) {
  if (const std::optional<int> number = Number(text)) {
    if (*number >= 1 && *number <= kRtMax) return *number;
    return Fail(Code::kInvalidArgument, "signal {} is not in the range of 1 to {}", *number, kRtMax);
  }
  std::string upper(text.substr(0, 32));
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const Name& known : kNames) {
    if (known.name == name) return known.number;
  }
  if (const std::optional<int> number = RealTime(name)) return *number;
  return Fail(Code::kInvalidArgument, "unknown signal \"{}\"", text.substr(0, 32));
}

std::string SignalName(int signal) {
  for (const Name& known : kNames) {
    if (known.number == signal) return fmt::format("SIG{}", known.name);
  }
  if (signal == kRtMin) return "SIGRTMIN";
  if (signal > kRtMin && signal <= kRtMax) return fmt::format("SIGRTMIN+{}", signal - kRtMin);
  return fmt::format("{}", signal);
}

}  // namespace kata::oci
